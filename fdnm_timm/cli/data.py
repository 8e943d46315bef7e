"""`fdnm data`: look a data set over before training, or draw one in the layout of a real one."""
import argparse
import difflib
import inspect
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, List

import yaml

from ..data import DATASETS, CheckReport, CountWarning, DatasetError, check_dataset, create_dataset
from ..data.synthetic import (
    write_buaa_layout,
    write_casia_layout,
    write_llcm_layout,
    write_oulu_layout,
    write_regdb_layout,
    write_sysu_layout,
)

__all__ = ['add_parser', 'run']

_WRITERS: Dict[str, Callable[..., Path]] = {
    'sysu_mm01': write_sysu_layout, 'regdb': write_regdb_layout, 'llcm': write_llcm_layout,
    'oulu_casia': write_oulu_layout, 'buaa_visnir': write_buaa_layout, 'casia_nirvis2': write_casia_layout,
}
_SETTINGS = ('num_train', 'num_val', 'num_test', 'images', 'trials', 'folds', 'seed', 'height', 'width', 'size')


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'data', help='check a data set, or draw one', description='Check a data set, or draw one.')
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    check = actions.add_parser(
        'check', help='compare the counts with the published ones and open every image',
        description='Read the lists, print the counts beside the published ones and decode every image once. The exit '
                    'status is 1 where a count differs or an image cannot be read, 2 where the data set is malformed.')
    check.add_argument('--dataset', required=True, help=f'one of {", ".join(sorted(DATASETS))}')
    check.add_argument('--root', required=True, help="the data set's folder or its parent")
    check.add_argument('--option', dest='options', metavar='KEY=VALUE', action='append', default=[],
                       help="further argument of the data set's class, such as trial=3; may be given again")
    check.add_argument('--no-images', action='store_true', help='do not open the images')
    check.add_argument('--workers', type=int, help='threads that decode images (default: one a processor, up to 8)')
    check.add_argument('--quiet', action='store_true', help='no progress bar')
    check.set_defaults(run=_check)
    draw = actions.add_parser(
        'draw', help='draw SyntheticVI or SyntheticFaces in the layout of a real data set',
        description='Draw people or faces in the folder layout of a real data set, so that its loader and protocol run '
                    'on them. What is left out has the defaults of the layout.')
    draw.add_argument('--layout', required=True, choices=sorted(_WRITERS))
    draw.add_argument('--root', required=True, type=Path, help='folder to write; it must not hold anything else')
    draw.add_argument('--num-train', type=int, metavar='N', help='identities to train on')
    draw.add_argument('--num-val', type=int, metavar='N', help="identities of sysu_mm01's validation list")
    draw.add_argument('--num-test', type=int, metavar='N', help='test identities')
    draw.add_argument('--images', type=int, metavar='N', help='images of an identity and camera, at most; for regdb '
                                                              'and faces, of an identity and modality')
    draw.add_argument('--trials', type=int, metavar='N', help='splits of regdb')
    draw.add_argument('--folds', type=int, metavar='N', help='folds of casia_nirvis2')
    draw.add_argument('--seed', type=int, help='of all that is drawn')
    draw.add_argument('--height', type=int, metavar='PIXELS', help='of the images')
    draw.add_argument('--width', type=int, metavar='PIXELS', help='of the images')
    draw.add_argument('--size', type=int, metavar='PIXELS', help='width and height of images of faces')
    draw.add_argument('--quiet', action='store_true', help='no progress bar')
    draw.set_defaults(run=_draw)


def _read_options(name: str, settings: List[str]) -> Dict[str, Any]:
    """KEY=VALUE, values as in YAML, for the class of the data set `name`."""
    cls = DATASETS.get(name)
    known = list(inspect.signature(cls).parameters)[1:] if cls is not None else []
    options: Dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition('=')
        if not equals:
            raise ValueError(f'--option is {setting!r}, but must be KEY=VALUE.')
        if cls is not None and key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise ValueError(
                f'--option: {name} has no option {key!r}{f": did you mean {near[0]!r}?" if near else "."} '
                f'It has {", ".join(known) or "none"}.')
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f'--option: the value of {key!r} is {value!r}, which is no YAML.') from error
    return options


def _table(report: CheckReport) -> str:
    rows = [('', 'found', 'published', '')]
    for name, found in report.counts.items():
        expected = report.published.get(name)
        rows.append((name, f'{found:,}', '' if expected is None else f'{expected:,}',
                     'differs' if name in report.differing else ''))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return '\n'.join(
        f'{name:<{widths[0]}}  {found:>{widths[1]}}  {expected:>{widths[2]}}  {mark}'.rstrip()
        for name, found, expected, mark in rows)


def _check(args: argparse.Namespace) -> int:
    options = _read_options(args.dataset, args.options)
    if args.dataset in DATASETS and not Path(args.root).is_dir():  # a drawn set would draw itself there
        raise DatasetError(f'The folder "{args.root}" does not exist: give the data set\'s folder or its parent.')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', CountWarning)  # the table says it
        dataset = create_dataset(args.dataset, args.root, **options)
    report = check_dataset(dataset, images=not args.no_images, progress=not args.quiet, workers=args.workers)
    print(f'{args.dataset} in "{dataset.root}"\n{_table(report)}')
    if args.no_images:
        print('The images were not opened.')
    elif not report.unreadable:
        print(f'All {report.num_opened:,} images can be read.')
    else:
        print(f'{len(report.unreadable):,} of {report.num_opened:,} images cannot be read:')
        for path, reason in report.unreadable:
            print(f'  {reason}' if path in reason else f'  "{path}": {reason}')
    return 0 if report.ok else 1


def _draw(args: argparse.Namespace) -> int:
    writer = _WRITERS[args.layout]
    # --images stands for images_per_camera or images_per_modality
    known = {'images' if name.startswith('images_per_') else name: name
             for name in inspect.signature(writer).parameters}
    given = {name: getattr(args, name) for name in _SETTINGS if getattr(args, name) is not None}
    for name in given:
        if name not in known:
            raise ValueError(
                f'--{name.replace("_", "-")} is given, but the layout {args.layout} has no such thing.')
    given = {known[name]: value for name, value in given.items()}
    root = writer(args.root, **given, progress=not args.quiet)
    print(f'Drawn in "{root}", in the layout of {args.layout}. Its counts are its own; to look it over:\n'
          f'  fdnm data check --dataset {args.layout} --root "{root}"')
    return 0


def run(args: argparse.Namespace) -> int:
    return args.run(args)
