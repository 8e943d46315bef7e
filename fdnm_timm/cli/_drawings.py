"""The figures of `fdnm plot`, from its arguments."""
import argparse
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar

from matplotlib.figure import Figure
from PIL import Image

from .. import plots
from ..data import INFRARED, VISIBLE, create_dataset, read_image
from ..runs import dataset_of
from ..saved import load_image
from ..studies.sweep import ConfiguredRun, group_runs, sweep_runs
from ._material import choose_target, labels_of, outcomes_in, ranked_in, results_in, run_in, samples_in

__all__ = ['DRAWINGS']

T = TypeVar('T')


def _first_setting(args: argparse.Namespace, found: Mapping[str, Mapping[str, Any]]) -> str:
    """The setting that was asked for, or the first, by which models are chosen; every run must have it."""
    setting = args.setting or next(iter(next(iter(found.values()))))
    for name, settings in found.items():
        if setting not in settings:
            raise ValueError(f'{name} was not evaluated in the setting {setting!r}, but in {", ".join(settings)}.')
    return setting


def _by_label(args: argparse.Namespace, read: Callable[[Path], Mapping[str, T]]) -> Tuple[str, Dict[str, T]]:
    """A target that all runs have, and by name what `read` gives of it in each run."""
    target, found = args.target, {}
    for label, path in zip(labels_of(args.runs, args.labels), args.runs):
        target, found[label] = choose_target(read(path), target, path)
    return target, found


def _named(
        args: argparse.Namespace,
        read: Callable[[Path], Mapping[str, Mapping[str, T]]],
) -> Tuple[str, Dict[str, T]]:
    """A title, and by name what `read` gives of one setting of each run, or of every setting of a single run."""
    target, found = _by_label(args, read)
    settings = next(iter(found.values()))
    if len(found) == 1 and len(settings) > 1 and not args.setting:
        return target, dict(settings)
    setting = _first_setting(args, found)
    return f'{target}, {setting}', {label: of_run[setting] for label, of_run in found.items()}


def _training(args: argparse.Namespace) -> Figure:
    histories = {
        label: results_in(path).get('history', []) for label, path in zip(labels_of(args.runs, args.labels), args.runs)}
    return plots.plot_training(histories)


def _cmc(args: argparse.Namespace) -> Figure:
    title, outcomes = _named(args, outcomes_in)
    return plots.plot_cmc(outcomes, title=title)


def _roc(args: argparse.Namespace) -> Figure:
    title, outcomes = _named(args, outcomes_in)
    return plots.plot_roc(outcomes, title=title)


def _distances(args: argparse.Namespace) -> Figure:
    title, outcomes = _named(args, outcomes_in)
    return plots.plot_distances(outcomes, title=title)


def _runs(args: argparse.Namespace) -> Tuple[str, List[ConfiguredRun]]:
    """The target, and the runs with their results on it."""
    target, runs = args.target, []
    for path in args.runs:
        target, run = run_in(path, target)
        runs.append(run)
    return target, runs


def _metrics(args: argparse.Namespace, result: Mapping[str, Any]) -> Sequence[str]:
    """Those that were asked for, or Rank-1 and mAP; of faces, two verification rates in place of mAP."""
    return args.metrics or ['R1', *([m for m in result['std'] if m.startswith('VR@')][:2] or ['mAP'])]


def _trials(args: argparse.Namespace) -> Figure:
    target, runs = _runs(args)
    if len(runs) == 1 and not args.setting:
        results = {setting: [result] for setting, result in runs[0].results.items()}
        return plots.plot_trials(results, _metrics(args, next(iter(results.values()))[0]), target)
    setting = _first_setting(args, {run.name: run.results for run in runs})
    groups = _labelled(runs, args.labels) if args.labels else group_runs(runs)
    return plots.plot_trials(
        {name: [run.results[setting] for run in group] for name, group in groups.items()},
        _metrics(args, runs[0].results[setting]), f'{target}, {setting}')


def _labelled(runs: Sequence[ConfiguredRun], labels: Sequence[str]) -> Dict[str, List[ConfiguredRun]]:
    if len(labels) != len(runs):
        raise ValueError(f'There are {len(labels)} --labels, but {len(runs)} runs: give one for each.')
    return {label: [run for run, of in zip(runs, labels) if of == label] for label in dict.fromkeys(labels)}


def _sweep(args: argparse.Namespace) -> Figure:
    target, runs = _runs(args)
    setting = _first_setting(args, {run.name: run.results for run in runs})
    sweeps = {
        key: {value: [run.results[setting] for run in of_value] for value, of_value in values.items()}
        for key, values in sweep_runs(runs).items()}
    return plots.plot_sweep(sweeps, _metrics(args, runs[0].results[setting]), f'{target}, {setting}')


def _ranked(args: argparse.Namespace) -> Figure:
    target, found = _by_label(args, ranked_in)
    setting = _first_setting(args, found)
    queries = {label: of_run[setting] for label, of_run in found.items()}
    load = partial(load_image, dataset_of(args.runs[0], args.root))
    return plots.plot_ranked(
        queries if len(queries) > 1 else next(iter(queries.values())), load, title=f'{target}, {setting}')


def _tsne(args: argparse.Namespace) -> Figure:
    target, found = _by_label(args, samples_in)
    kinds = args.features or (['spatial', 'amplitude', 'phase'] if len(found) == 1 else ['embedding'])
    return plots.plot_tsne(found if len(found) > 1 else next(iter(found.values())), kinds, args.seed)


def _swap(args: argparse.Namespace) -> Figure:
    if args.dataset:
        if args.runs or not args.root:
            raise ValueError('For a pair of a data set, give --dataset, its --root and, if you like, --identity.')
        return plots.plot_swap(*_pair(args.dataset, args.root, args.identity))
    if len(args.runs) != 2:
        raise ValueError(
            f'{len(args.runs)} images were given, but swap takes two, a visible and an infrared one of the same scene; '
            f'or --dataset and --root.')
    return plots.plot_swap(*(read_image(str(path)) for path in args.runs))


def _pair(name: str, root: str, identity: Optional[int]) -> List[Image.Image]:
    """The first visible and the first infrared image of a test identity."""
    dataset = create_dataset(name, root)
    of_modality: List[Dict[int, str]] = [
        {pid: path for path, pid, _ in sorted(dataset.test, reverse=True) if dataset.modality(path) == modality}
        for modality in (VISIBLE, INFRARED)]
    both = sorted(of_modality[0].keys() & of_modality[1].keys())
    if identity is None and both:
        identity = both[0]
    if identity not in both:
        raise ValueError(
            f'{name} has no test identity {identity} with a visible and an infrared image'
            f'{f"; they go from {both[0]} to {both[-1]}" if both else ""}.')
    return [dataset.load(paths[identity]) for paths in of_modality]


DRAWINGS: Dict[str, Callable[[argparse.Namespace], Figure]] = {
    'training': _training, 'cmc': _cmc, 'roc': _roc, 'distances': _distances, 'trials': _trials, 'sweep': _sweep,
    'ranked': _ranked, 'tsne': _tsne, 'swap': _swap}
