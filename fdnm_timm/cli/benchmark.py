"""`fdnm benchmark`: measure speed and memory on this machine, against the bars that the project has set itself."""
import argparse
import dataclasses
import shlex
import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch

from ..benchmarks import BENCHMARKS, Row, run_benchmarks, settings_for
from ..benchmarks.machine import describe_machine
from ..files import write_json

__all__ = ['add_parser', 'run']


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'benchmark', help='measure speed and memory on this machine',
        description='Measure AGP and ANM against their literal forms, a training step against the same network without '
                    'them, inference, loading, ranking and search, and hold the medians against the bars. Each number '
                    'is the median over the repeats, with the quartiles; what is compared runs in turn. docs/speed.md '
                    'says what the rows mean. The machine should have nothing else to do.')
    parser.add_argument('--device', default='cpu', help='cpu, cuda or cuda:N (default: cpu)')
    parser.add_argument('--only', nargs='+', choices=list(BENCHMARKS), metavar='NAME',
                        help=f'only these of {", ".join(BENCHMARKS)}')
    parser.add_argument('--quick', action='store_true',
                        help='tiny shapes: shows that everything runs; says nothing about speed, and nothing is judged')
    parser.add_argument('--repeats', type=int, metavar='N', help='values of each number (default: 5; 2 with --quick)')
    parser.add_argument('--threads', type=int, metavar='N', help="threads of torch (default: torch's own choice)")
    parser.add_argument('--beside', action='append', default=[], metavar='NAME=COMMAND',
                        help='also a program of yours that does training steps, embeds or evaluates, in turns with '
                             'ours; may be repeated. docs/speed.md says what it has to answer')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write everything to this file')
    parser.set_defaults(run=run)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f'--device is {name!r}, but cpu, cuda or cuda:N is expected.') from error
    if device.type not in ('cpu', 'cuda'):
        raise ValueError(f'--device is {name!r}, but only cpu and cuda are measured.')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f'--device is {name!r}, but torch finds {torch.cuda.device_count()} GPUs here.')
    return device


def _named(value: str) -> Tuple[str, Tuple[str, ...]]:
    """Name and command; what cannot run is known before hours of other benchmarks."""
    name, _, line = value.partition('=')
    try:
        command = tuple(shlex.split(line))
    except ValueError as error:
        raise ValueError(f'--beside is {value!r}, whose command a shell cannot read: {error}.') from error
    if not name.strip() or not command:
        raise ValueError(f"--beside is {value!r}, but NAME=COMMAND is expected, such as deen='python deen.py'.")
    if shutil.which(command[0]) is None:
        raise ValueError(f'--beside is {value!r}, but there is no program {command[0]!r} here.')
    return name.strip(), command


def _beside(values: List[str], only: Optional[List[str]]) -> Tuple[Tuple[str, Tuple[str, ...]], ...]:
    named = tuple(_named(value) for value in values)
    names = [name for name, _ in named]
    if len(set(names)) < len(names) or any(name.startswith('FDNM') for name in names):
        raise ValueError(f'--beside names {", ".join(names)}, but each name must be another one, and none ours (FDNM).')
    if only is not None and bool(named) is not ('beside' in only):
        raise ValueError(
            '--beside names programs, but --only leaves "beside" out.' if named else
            "--only beside needs programs to compare with: --beside NAME='COMMAND'.")
    return named


def _heading(machine: Dict[str, Any], quick: bool) -> str:
    versions = ', '.join(f'{name} {version}' for name, version in machine['versions'].items())
    lines = [
        f'{machine["cpu"]}, {machine["cpu_cores"]} cores, {machine["threads"]} threads; device {machine["device"]}',
        f'{machine["platform"]}, Python {machine["python"]}, {versions}']
    if quick:
        lines.append('QUICK: tiny shapes. These numbers only show that everything runs; no bar is judged.')
    return '\n'.join(lines)


def run(args: argparse.Namespace) -> int:
    device = _device(args.device)
    repeats = args.repeats if args.repeats is not None else 2 if args.quick else 5
    if repeats < 1:
        raise ValueError(f'--repeats is {repeats}, but at least 1 value is measured.')
    if args.threads is not None:
        if args.threads < 1:
            raise ValueError(f'--threads is {args.threads}, but at least 1 is needed.')
        torch.set_num_threads(args.threads)
    beside = _beside(args.beside, args.only)
    settings = dataclasses.replace(settings_for(device, repeats, args.quick), beside=beside)
    machine = describe_machine(device)
    print(_heading(machine, args.quick), flush=True)
    rows: List[Row] = []
    for row in run_benchmarks(settings, args.only):
        rows.append(row)
        print(row, flush=True)
    judged = [row for row in rows if row.met is not None]
    if judged:
        print(f'{sum(row.met is True for row in judged)} of {len(judged)} bars are met.')
    if args.json is not None:
        shapes = {name: value for name, value in vars(settings).items() if name != 'device'}
        write_json(args.json, {
            'environment': machine, 'device': str(device), 'quick': args.quick, 'settings': shapes,
            'rows': [row.to_json() for row in rows]})
        print(f'Also in "{args.json}".')
    return 0
