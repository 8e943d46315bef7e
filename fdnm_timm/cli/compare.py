"""`fdnm compare`: put runs beside each other, seeds of the same configuration as mean and spread."""
import argparse
import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from ..config import load_config
from ..studies.sweep import UNUSED, flat_config

__all__ = ['add_parser', 'compare', 'run']


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'compare', help='put finished runs beside each other',
        description='Print a Markdown table of finished runs. Runs whose configurations differ in the seed alone make '
                    'one row, with the mean and the sample standard deviation over the seeds, in percent.')
    parser.add_argument('runs', type=Path, nargs='+', help='folders that `fdnm train` left')
    parser.add_argument('--metrics', nargs='+', default=['R1', 'mAP'], help='such as R1 R10 mAP mINP (default: R1 mAP)')
    parser.set_defaults(run=run)


def _read(folder: Path) -> Tuple[Dict[str, Any], Dict[str, Dict[str, Any]]]:
    """A run's configuration and the results of its last target."""
    for name in ('config.yaml', 'results.json'):
        if not (folder / name).exists():
            raise FileNotFoundError(f'"{folder}" is no finished run: it has no {name}.')
    config = flat_config(load_config(folder / 'config.yaml'))
    results = json.loads((folder / 'results.json').read_text(encoding='utf-8'))['results']
    return config, list(results.values())[-1]


def compare(folders: List[Path], metrics: List[str]) -> str:
    """The table of `fdnm compare`, one row a configuration, named by the keys in which the configurations differ."""
    runs = [_read(folder) for folder in folders]
    # no other experiment, only another draw, place or speed
    ignored = ('train.seed', 'data.root', 'data.workers', 'data.cache')
    keys = [
        key for key in runs[0][0]
        if key not in ignored and len({str(config.get(key)) for config, _ in runs} - {UNUSED}) > 1]
    settings = list(runs[0][1])
    rows: Dict[str, List[Dict[str, Dict[str, Any]]]] = {}
    for config, results in runs:
        if list(results) != settings:
            raise ValueError(f'The runs were evaluated in different settings: {settings} and {list(results)}.')
        rows.setdefault(', '.join(f'{key.split(".")[-1]}={config[key]}' for key in keys) or 'all', []).append(results)
    columns = [f'{setting} {metric}' for setting in settings for metric in metrics]
    lines = ['| configuration | seeds | ' + ' | '.join(columns) + ' |', '|---' * (len(columns) + 2) + '|']
    for name, group in rows.items():
        cells = []
        for setting in settings:
            for metric in metrics:
                values = [results[setting][metric] for results in group]
                spread = f' ± {np.std(values, ddof=1):.1f}' if len(values) > 1 else ''
                cells.append(f'{np.mean(values):.1f}{spread}')
        lines.append(f'| {name} | {len(group)} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def run(args: argparse.Namespace) -> int:
    print(compare(args.runs, args.metrics))
    return 0
