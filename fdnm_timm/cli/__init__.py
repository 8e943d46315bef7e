"""The `fdnm` command: one file a subcommand, each with `add_parser` and `run`."""
import argparse
import logging
import sys
from typing import Optional, Sequence

from ..version import __version__

__all__ = ['main']


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command line; returns the exit status. Mistakes of use end in one sentence and status 2."""
    parser = argparse.ArgumentParser(prog='fdnm', description='FDNM for visible-infrared re-identification.')
    parser.add_argument('--version', action='version', version=f'fdnm_timm {__version__}')
    parser.add_argument('--traceback', action='store_true', help='show where an error comes from')
    try:
        from . import benchmark, compare, data, demo, evaluate, publish, reproduce, train
    except ImportError as error:
        print(f'fdnm: {error}', file=sys.stderr)
        return 2
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for command in (demo, data, train, evaluate, compare, reproduce, publish, benchmark):
        command.add_parser(commands)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format='%(levelname)s: %(message)s')
    try:
        return args.run(args) or 0
    except KeyboardInterrupt:
        print('fdnm: interrupted.', file=sys.stderr)
        return 130
    except (ValueError, TypeError, RuntimeError, OSError, FloatingPointError) as error:
        if args.traceback:
            raise
        print(f'fdnm {args.command}: {error}', file=sys.stderr)
        return 2
