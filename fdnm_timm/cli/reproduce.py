"""`fdnm reproduce`: do the runs of one of the paper's tables, and print reported beside measured."""
import argparse
from pathlib import Path

from ..files import write_json, write_text
from ..runs import is_finished
from ..studies import ROWS, STUDIES, collect, format_study, plan, run_jobs

__all__ = ['add_parser', 'run']


def add_parser(commands: argparse._SubParsersAction) -> None:
    known = '; '.join(f'{name}: {study.title}' for name, study in STUDIES.items())
    parser = commands.add_parser(
        'reproduce', help="redo one of the paper's tables, measured beside reported",
        description=f'Do the runs that a table of the paper is made of, as far as they are missing, and print the '
                    f'table. Given again after a break, it goes on where it stopped. {known}.')
    parser.add_argument('study', choices=list(STUDIES), metavar='STUDY', help=', '.join(STUDIES))
    parser.add_argument('--dataset', required=True, help='name of the data set, such as roadscene or sysu_mm01')
    parser.add_argument('--root', required=True, help="the data set's folder or its parent")
    parser.add_argument('--out', type=Path, default=Path('runs') / 'reproduce',
                        help='folder of the runs and tables (default: runs/reproduce)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], metavar='SEED', help='(default: 0 1 2)')
    parser.add_argument('--rows', nargs='+', choices=list(ROWS), metavar='ROW', help='only these rows of the study')
    parser.add_argument('--config', type=Path, help="YAML file in place of the data set's recipe")
    parser.add_argument('--set', dest='settings', metavar='KEY=VALUE', action='append', default=[],
                        help='change one key for every row; may be given again')
    parser.add_argument('--table-only', action='store_true', help='run nothing: the table of what is finished')
    parser.add_argument('--dry-run', action='store_true', help='only say which runs there are, and which are finished')
    parser.add_argument('--quiet', action='store_true', help='no progress bars')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    jobs = plan(
        args.study, args.dataset, args.root, args.out, args.seeds, args.rows, args.settings, args.config)
    if args.dry_run:
        for job in jobs:
            state = 'finished' if is_finished(job.folder) else 'begun' if job.folder.exists() else 'to do'
            print(f'{state:<9} {job.folder}')
        return 0
    if args.table_only:
        jobs = [job for job in jobs if is_finished(job.folder)]
        if not jobs:
            raise FileNotFoundError(f'No run of {args.study} is finished under "{args.out / args.dataset}".')
    run_jobs(jobs, progress=not args.quiet)
    result = collect(args.study, args.dataset, jobs)
    text = format_study(result)
    write_json(args.out / args.dataset / f'{args.study}.json', result._asdict())
    write_text(args.out / args.dataset / f'{args.study}.md', text + '\n')
    print(text)
    print(f'\nAlso in "{args.out / args.dataset / args.study}.md" and ".json"; runs beside it.')
    return 0
