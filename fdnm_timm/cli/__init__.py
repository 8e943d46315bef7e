"""The `fdnm` command: one file a subcommand, each with `add_parser` and `run`."""
import argparse
import importlib
import logging
import os
import sys
from typing import Any, Optional, Sequence

from ..version import __version__

__all__ = ['main']

_COMMANDS = (
    'demo', 'data', 'train', 'evaluate', 'compare', 'reproduce', 'plot', 'report', 'publish', 'extract', 'search',
    'export', 'benchmark')
_SHARED = ('train', 'evaluate', 'extract')  # what torchrun's processes share between them


def _add_unavailable(name: str, commands: Any, error: ImportError) -> None:
    """A command whose library is missing: it says so when it is called, and the others work."""
    def run(args: argparse.Namespace) -> int:
        raise error

    # with no sign that begins an option, whatever follows is taken
    parser = commands.add_parser(
        name, help='(not available: a library is missing; call it for more)', add_help=False, prefix_chars='\0')
    parser.add_argument('rest', nargs='*')
    parser.set_defaults(run=run)


def _refuse_copies(command: str) -> None:
    size = os.environ.get('WORLD_SIZE', '1')
    if size not in ('', '1') and command not in _SHARED:
        raise ValueError(
            f'torchrun started {size} processes (WORLD_SIZE={size}), which would all do the same and write the same '
            f'files. {", ".join(_SHARED)} share their work between processes: start `fdnm {command}` without torchrun.')


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command line; returns the exit status. Mistakes of use end in one sentence and status 2."""
    parser = argparse.ArgumentParser(prog='fdnm', description='FDNM for visible-infrared re-identification.')
    parser.add_argument('--version', action='version', version=f'fdnm_timm {__version__}')
    parser.add_argument('--traceback', action='store_true', help='show where an error comes from')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name in _COMMANDS:
        try:
            command = importlib.import_module(f'.{name}', __package__)
        except ImportError as error:
            _add_unavailable(name, commands, error)
        else:
            command.add_parser(commands)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format='%(levelname)s: %(message)s')
    try:
        _refuse_copies(args.command)
        return args.run(args) or 0
    except KeyboardInterrupt:
        print('fdnm: interrupted.', file=sys.stderr)
        return 130
    except (ValueError, TypeError, RuntimeError, OSError, FloatingPointError, ImportError) as error:
        if args.traceback:
            raise
        print(f'fdnm {args.command}: {error}', file=sys.stderr)
        return 2
