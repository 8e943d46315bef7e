"""How much the figures of a setting move from trial to trial, and from seed to seed."""
from typing import Any, Dict, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ._figure import DOUBLE, SINGLE, legend_above, metric_name, new_figure, plain_axes, wrap

__all__ = ['plot_trials']

_TRIAL, _MEAN, _SEEDS = '#56b4e9', '#0072b2', '#d55e00'


def plot_trials(
        results: Mapping[str, Sequence[Mapping[str, Any]]],
        metrics: Sequence[str] = ('R1', 'mAP'),
        title: str = '',
) -> Figure:
    """Draw each trial, with mean and standard deviation over the trials of a run and over the runs of a group.

    Args:
        results: Each group's name, and the result of one setting for each of its runs, which differ in the seed, as
            results.json has them: `results[target][setting]`. Of one run, groups may be its settings.
        metrics: One panel each, such as 'R1', 'mAP' or 'VR@FAR=1%'.
        title: Above the legend.

    Returns:
        The figure. A circle is a trial, an open square the mean over a run's trials with their standard deviation
        (population, as in results.json), a diamond the mean over a group's runs with their sample standard deviation.

    Raises:
        ValueError: No group, an empty one, or a metric that a result lacks.
    """
    _check(results, metrics)
    width = SINGLE if len(metrics) * len(results) <= 2 else DOUBLE
    figure = new_figure(width, 2.3)
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    entries: Dict[str, Any] = {}
    for axis, metric in zip(axes, metrics):
        for place, runs in enumerate(results.values()):
            _draw_group(axis, place, runs, metric, entries)
        plain_axes(axis, '', f'{metric_name(metric)} (%)')
        room = (width / len(metrics) - 0.6) / len(results)
        axis.set_xticks(range(len(results)), [wrap(name, room - 0.05) for name in results])
        axis.set_xlim(-0.5, len(results) - 0.5)
        axis.grid(axis='y', linewidth=0.4, color='#dddddd')
        axis.set_axisbelow(True)
    legend_above(figure, entries, title)
    return figure


def _check(results: Mapping[str, Sequence[Mapping[str, Any]]], metrics: Sequence[str]) -> None:
    if not results or not metrics:
        raise ValueError(f'{len(results)} groups and {len(metrics)} metrics were given, but 1 of each is needed.')
    for name, runs in results.items():
        if not runs:
            raise ValueError(f'{name} has no results to draw.')
        for metric in metrics:
            if any(metric not in trial for result in runs for trial in result['trials']):
                known = ', '.join(runs[0]['std'])
                raise ValueError(f'{name} has no {metric!r} in its trials, but {known}.')


def _draw_group(axis: Any, place: int, runs: Sequence[Mapping[str, Any]], metric: str, entries: Dict[str, Any]) -> None:
    """The runs side by side in a place of width 1, and what they have in common at its right end."""
    several = len(runs) > 1
    positions = place + (np.linspace(-0.3, 0.15, len(runs)) if several else np.zeros(1))
    room = 0.45 / (len(runs) - 1) if several else 0.5
    scale = 1. if len(runs) < 3 else 0.65
    means = []
    for position, result in zip(positions, runs):
        values = np.array([trial[metric] for trial in result['trials']])
        means.append(values.mean())
        if len(values) == 1:
            entries['a run of one trial'] = axis.plot(position, values, 'o', color=_TRIAL, markersize=5)[0]
            continue
        # side by side, so that equal ones are not hidden, and to the left of their mean
        beside = position + 0.5 * room * (np.linspace(-0.8, 0.2, len(values)))
        entries['a trial'] = axis.plot(
            beside, values, 'o', color=_TRIAL, markersize=3.5 * scale, markeredgewidth=0)[0]
        entries['mean ± sd over the trials'] = axis.errorbar(
            position + 0.25 * room, values.mean(), values.std(), fmt='s', markerfacecolor='white', color=_MEAN,
            markersize=4.5 * scale, capsize=2.5 * scale, linewidth=1.2 * scale)
    if several:
        entries['mean ± sd over the runs'] = axis.errorbar(
            place + 0.36, np.mean(means), np.std(means, ddof=1), fmt='D', color=_SEEDS, markersize=4.5, capsize=2.5,
            linewidth=1.2)
