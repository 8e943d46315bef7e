"""ROC curves: how many genuine pairs are accepted where so few impostor pairs are."""
import math
from typing import TYPE_CHECKING, Mapping, Tuple

import numpy as np
from matplotlib.figure import Figure

from ._figure import MARKERS, SINGLE, legend_above, new_figure, plain_axes, series

if TYPE_CHECKING:
    from ..saved import Outcomes

__all__ = ['plot_roc']

_ROUNDED = 1 + 1e-6  # FARs are stored in float32


def plot_roc(
        outcomes: 'Mapping[str, Outcomes]',
        title: str = '',
        width: float = SINGLE,
) -> Figure:
    """Draw the verification rate against the false accept rate, on a logarithmic axis.

    The curves are steps through exact points, never interpolated. Dotted lines and markers stand at the false accept
    rates that the tables give. Of several trials the first is drawn.

    Args:
        outcomes: Each curve's name and the outcomes of a setting that was verified.
        title: Above the legend.
        width: Of the figure, in inches.

    Raises:
        ValueError: No curve, or outcomes of a setting without false accept rates.
    """
    if not outcomes:
        raise ValueError('There are no outcomes to draw.')
    for name, outcome in outcomes.items():
        if not outcome.roc.shape[1]:
            raise ValueError(
                f'{name} has no ROC curve: its protocol ranks and does not verify. The protocols of faces do.')
    figure = new_figure(width, 2.3)
    axis = figure.subplots()
    start = min(_smallest(outcome) for outcome in outcomes.values())
    entries = {}
    for number, (name, outcome) in enumerate(outcomes.items()):
        far, tpr = _points(outcome, start)
        marker, line = MARKERS[number % len(MARKERS)], series(number)
        axis.plot(far, tpr, drawstyle='steps-post', **line)
        fars = [f for f in outcome.fars if f >= start]
        reached = [tpr[far <= f * _ROUNDED][-1] for f in fars]
        axis.plot(fars, reached, marker, markersize=4, color=line['color'], clip_on=False)
        entries[name], = axis.plot([], [], marker=marker, markersize=4, **line)
    for target in sorted({f for outcome in outcomes.values() for f in outcome.fars if f >= start}):
        axis.axvline(target, color='#888888', linewidth=0.7, linestyle=':', zorder=0)
    several = any(len(outcome.first) > 1 for outcome in outcomes.values())
    plain_axes(axis, f'false accept rate (%){", first trial" if several else ""}', 'verification rate (%)')
    axis.set_xscale('log')
    axis.set_xlim(start, 1)
    axis.xaxis.set_major_formatter(lambda value, _: f'{100 * value:g}')
    axis.minorticks_off()
    low, _ = axis.get_ylim()
    axis.set_ylim(max(0, low), 101)
    axis.grid(axis='y', linewidth=0.4, color='#dddddd')
    axis.set_axisbelow(True)
    legend_above(figure, entries, title)
    return figure


def _smallest(outcome: 'Outcomes') -> float:
    """The power of ten at or below the smallest false accept rate that the pairs resolve."""
    far = outcome.roc[0]
    # in float64: a power of ten in float32 can lie above the rate that it is
    return 10. ** math.floor(math.log10(float(far[far > 0].min())))


def _points(outcome: 'Outcomes', start: float) -> Tuple[np.ndarray, np.ndarray]:
    """FAR, and TPR in percent; the curve begins at `start` with what is accepted at a FAR of 0."""
    far, tpr, _ = outcome.roc.astype(np.float64)
    return np.maximum(far, start), 100 * tpr
