"""`fdnm plot`: figures of finished runs, from what they saved."""
import argparse
from pathlib import Path
from typing import List, Tuple

from matplotlib.figure import Figure

from ..plots import save_figure
from ..runs import config_of
from ._drawings import DRAWINGS
from ._material import ranked_in, results_in

__all__ = ['add_parser', 'run']

_FEATURES = ('spatial', 'amplitude', 'phase', 'embedding')
_OF_ONE_RUN = ('training', 'cmc', 'roc', 'distances', 'trials', 'tsne', 'ranked')


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'plot', help='figures of finished runs',
        description='Draw finished runs from what they saved, without the model: training, CMC and ROC curves, intra- '
                    'and inter-class distances, trials, sweeps of a key, ranked results, t-SNE; and the spectra of an '
                    'image pair. docs/figures.md says what each is made from.')
    parser.add_argument(
        'kind', choices=[*DRAWINGS, 'all'], metavar='KIND', help=f'{", ".join(DRAWINGS)}; or all, of one run')
    parser.add_argument(
        'runs', type=Path, nargs='*', metavar='RUN',
        help='folders that `fdnm train` left; for cmc, roc and distances also files of `fdnm evaluate --outcomes`; for '
             'swap a visible and an infrared image')
    parser.add_argument(
        '--out', type=Path, required=True, metavar='FILE', help='.png, .pdf or .svg; for all, a folder')
    parser.add_argument('--target', help='name of the data set, where a run has several (default: its last)')
    parser.add_argument(
        '--setting', help='one setting (default: every one of a single run, the first of several runs)')
    parser.add_argument(
        '--labels', nargs='+', metavar='NAME', help='a name for each run; in trials, runs of one name are one group')
    parser.add_argument('--metrics', nargs='+', metavar='METRIC', help='of trials and sweep, such as R1 mAP')
    parser.add_argument(
        '--features', nargs='+', choices=_FEATURES, metavar='KIND',
        help=f'of tsne: {", ".join(_FEATURES)} (default: the first three of a single run, the last of several)')
    parser.add_argument('--seed', type=int, default=0, help='of tsne')
    parser.add_argument('--root', help='of ranked and swap: where the data set lies (ranked: as in the run)')
    parser.add_argument('--dataset', help='of swap: draw a pair of this data set, given its --root')
    parser.add_argument('--identity', type=int, help='of swap, with --dataset (default: the first)')
    parser.add_argument('--dpi', type=int, default=300, help='of .png (default: 300)')
    parser.add_argument('--format', choices=('png', 'pdf', 'svg'), default='png', help='of all (default: png)')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.kind == 'all':
        return _draw_all(args)
    if not args.runs and args.kind != 'swap':
        raise ValueError(f'{args.kind} is drawn of finished runs: give at least one folder.')
    _save(args.out, DRAWINGS[args.kind](args), args.dpi)
    return 0


def _save(path: Path, figure: Figure, dpi: int) -> None:
    save_figure(path, figure, dpi)
    width, height = figure.get_size_inches()
    print(f'{path} ({width:.1f} x {height:.1f} in)')


def _draw_all(args: argparse.Namespace) -> int:
    """What a run has material for, and a line for what it has not."""
    if len(args.runs) != 1:
        raise ValueError(f'all is drawn of one run, but {len(args.runs)} were given.')
    config_of(args.runs[0])
    results_in(args.runs[0])
    for kind in _OF_ONE_RUN:
        try:
            for name, own in _drawings_of(kind, args):
                _save(args.out / f'{name}.{args.format}', DRAWINGS[kind](own), args.dpi)
        except (ValueError, OSError, ImportError) as error:
            print(f'No {kind}: {error}')
    return 0


def _drawings_of(kind: str, args: argparse.Namespace) -> List[Tuple[str, argparse.Namespace]]:
    """Names of the figures of a kind, with the arguments of each."""
    if kind == 'trials' and all(
            len(result['trials']) == 1 for settings in results_in(args.runs[0])['results'].values()
            for result in settings.values()):
        raise ValueError('every setting has a single trial. Give several runs, such as those of several seeds.')
    if kind != 'ranked' or args.setting:
        return [(kind, args)]
    targets = ranked_in(args.runs[0])
    return [
        (f'ranked_{setting}', argparse.Namespace(**{**vars(args), 'target': target, 'setting': setting}))
        for target, settings in targets.items() if args.target in (None, target) for setting in settings]
