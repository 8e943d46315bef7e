"""A figure against a value of the configuration (the paper's Fig. 5: Rank-1 and mAP against lambda_2 and m)."""
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ._figure import COLORS, DOUBLE, MARKERS, SINGLE, STYLES, legend_above, metric_name, new_figure, plain_axes

__all__ = ['plot_sweep']

_SYMBOLS = {
    'loss.lambda_tri': r'$\lambda_1$', 'loss.lambda_cnm': r'$\lambda_2$', 'loss.margin_cnm': 'margin $m$',
    'optim.lr': 'learning rate'}


def plot_sweep(
        sweeps: Mapping[str, Mapping[float, Sequence[Mapping[str, Any]]]],
        metrics: Sequence[str] = ('R1', 'mAP'),
        title: str = '',
) -> Figure:
    """Draw figures against values of the configuration, one panel a key.

    Args:
        sweeps: For each key, such as 'loss.lambda_cnm', its values, and for each value the results of one setting, one
            for each run (which differ in the seed).
        metrics: One line each, such as 'R1' and 'mAP'.
        title: Above the legend.

    Returns:
        The figure. Filled markers are means over several runs, with their sample standard deviation; open ones are
        single runs, whose spread is not known. Lines join the means and claim nothing between them.

    Raises:
        ValueError: No sweep, a value without a run, or a metric that a result lacks.
    """
    if not sweeps or not metrics:
        raise ValueError(f'There are {len(sweeps)} sweeps and {len(metrics)} metrics, but at least 1 of each is drawn.')
    width = SINGLE if len(sweeps) == 1 else DOUBLE
    columns = min(len(sweeps), 3)
    rows = -(-len(sweeps) // columns)
    figure = new_figure(width, 2.2 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for place, axis in enumerate(axes.flat):
        if place >= len(sweeps):
            axis.set_axis_off()
            continue
        key, sweep = list(sweeps.items())[place]
        for number, metric in enumerate(metrics):
            _draw(axis, key, sweep, metric, number)
        letter = f'({chr(ord("a") + place)}) ' if len(sweeps) > 1 else ''
        plain_axes(axis, f'{letter}{_SYMBOLS.get(key, key)}', '%' if place % columns == 0 else '')
        _scale(axis, sorted(sweep), width / columns - 0.5)
        axis.grid(axis='y', linewidth=0.4, color='#dddddd')
        axis.set_axisbelow(True)
    legend_above(figure, _entries(sweeps, metrics), title)
    return figure


def _draw(
        axis: Any,
        key: str,
        sweep: Mapping[float, Sequence[Mapping[str, Any]]],
        metric: str,
        number: int,
) -> None:
    for value, results in sweep.items():
        if not results:
            raise ValueError(f'{key} = {value} has no run.')
        if any(metric not in result for result in results):
            raise ValueError(f'{key} = {value}: a result has no {metric!r}, but {", ".join(results[0]["std"])}.')
    values = sorted(sweep)
    found: List[np.ndarray] = [np.array([result[metric] for result in sweep[value]]) for value in values]
    places = _beside(values, number)
    color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
    axis.plot(places, [of.mean() for of in found], linestyle=STYLES[number % len(STYLES)], color=color, linewidth=1.2)
    for place, of in zip(places, found):
        spread = of.std(ddof=1) if len(of) > 1 else None
        axis.errorbar(
            place, of.mean(), spread, fmt=marker, color=color, markerfacecolor='white' if spread is None else color,
            markersize=4.5, capsize=2.5, linewidth=1.2)


def _is_logarithmic(values: Sequence[float]) -> bool:
    """Whether a linear axis would huddle most of the values."""
    return len(values) > 2 and values[0] > 0 and values[-1] / values[0] > 50


def _beside(values: Sequence[float], number: int) -> np.ndarray:
    """The values, a little to the right for each line before, so that no spread hides another."""
    shift = 0.015 * number
    if _is_logarithmic(values):
        return np.array(values) * (values[-1] / values[0]) ** shift
    return np.array(values) + shift * (values[-1] - values[0])


def _entries(sweeps: Mapping[str, Mapping[float, Sequence[Any]]], metrics: Sequence[str]) -> Dict[str, Any]:
    """The legend: what color, line and marker tell, and whether markers are filled."""
    numbers = {len(results) > 1 for sweep in sweeps.values() for results in sweep.values()}
    return {
        **{metric_name(metric): Line2D(
            [], [], color=COLORS[number % len(COLORS)], linestyle=STYLES[number % len(STYLES)],
            marker=MARKERS[number % len(MARKERS)], markersize=4.5, linewidth=1.2)
            for number, metric in enumerate(metrics)},
        **({'mean ± sd over the runs': Line2D([], [], color='black', marker='o', markersize=4.5, linewidth=0)}
           if True in numbers else {}),
        **({'one run': Line2D(
            [], [], color='black', marker='o', markerfacecolor='white', markersize=4.5, linewidth=0)}
           if False in numbers else {}),
    }


def _scale(axis: Any, values: Sequence[float], inches: float) -> None:
    """Ticks at the values, as far as there is room, and a logarithmic axis where a linear one would huddle them."""
    if _is_logarithmic(values):
        axis.set_xscale('log')
        axis.minorticks_off()
    places = np.log(values) if _is_logarithmic(values) else np.array(values)
    room = inches * np.diff(places) / max(np.ptp(places), 1e-12)
    if (room > 0.18).all():
        axis.set_xticks(values, [f'{value:g}' for value in values])
