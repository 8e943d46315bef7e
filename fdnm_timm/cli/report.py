"""`fdnm report`: a finished run as one HTML page."""
import argparse
from pathlib import Path

from ..report import write_report

__all__ = ['add_parser', 'run']


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'report', help='a finished run as one HTML page',
        description='Write what a finished run did and found as one HTML page with all its pictures, which needs no '
                    'network and no other file: from saved results, without the model.')
    parser.add_argument('run_dir', type=Path, help='folder that `fdnm train` left')
    parser.add_argument('--out', type=Path, metavar='FILE', help='the page (default: RUN_DIR/report.html)')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.out is not None and args.out.suffix.lower() not in ('.html', '.htm'):
        raise ValueError(f'--out is "{args.out}", but a report is an HTML page: give a name that ends in .html.')
    path = write_report(args.run_dir, args.out)
    print(f'The report is "{path}" ({path.stat().st_size / 1e6:.1f} MB): open it in any browser.')
    return 0
