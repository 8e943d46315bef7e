"""Cosine distances between the modalities, of one identity and of two (the paper's Fig. 6 a-e)."""
from typing import TYPE_CHECKING, Any, Mapping, Tuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..metrics.distances import MAX_DISTANCE, NUM_BINS
from ._figure import DOUBLE, SINGLE, SMALL, TEXT, legend_above, new_figure, plain_axes, wrap

if TYPE_CHECKING:
    from ..saved import Outcomes

__all__ = ['plot_distances']

# as in the paper, blue within an identity and green between two; hatches and line styles tell the same
_KINDS: Tuple[Tuple[str, str, Any, str], ...] = (
    ('intra-class', '#0072b2', '-', ''), ('inter-class', '#009e73', '--', '//////'))
# so many pairs of the rarer kind a bin, or bins are joined
_FEWEST = 60
_JOINED = (1, 2, 4, 5, 8, 10, 20)  # divisors of NUM_BINS
_MOST_BESIDE = 5


def plot_distances(outcomes: 'Mapping[str, Outcomes]', title: str = '') -> Figure:
    """Draw how the distances between queries and gallery, which are of different modalities, are distributed.

    One panel for each, on common axes: the densities of the pairs of one identity (intra-class) and of two
    (inter-class), each of area 1 and over all trials, vertical lines at their exact means, and the gap d between the
    means. Where pairs are few, bins of 0.01 are joined, in all panels alike.

    Args:
        outcomes: Each panel's name and the outcomes of a setting.
        title: Above the legend.

    Raises:
        ValueError: No panel, or outcomes whose distances were not counted or lack a kind of pairs.
    """
    if not outcomes:
        raise ValueError('There are no outcomes to draw.')
    for name, outcome in outcomes.items():
        _check(name, outcome)
    columns = min(len(outcomes), _MOST_BESIDE)
    rows = -(-len(outcomes) // columns)
    width = SINGLE if columns == 1 else DOUBLE
    figure = new_figure(width, 0.3 + 1.9 * rows)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    joined = _bins_to_join(outcomes)
    start, end = _range(outcomes, joined)
    for place, axis in enumerate(axes.flat):
        if place >= len(outcomes):
            axis.set_axis_off()
            continue
        name, outcome = list(outcomes.items())[place]
        _draw(axis, outcome, joined)
        letter = f'({chr(ord("a") + place)}) ' if 1 < len(outcomes) <= 26 else ''
        lowest = place + columns >= len(outcomes)
        plain_axes(
            axis, 'cosine distance' if lowest else '', 'density' if place % columns == 0 else '',
            wrap(letter + name, width / columns - 0.35, TEXT))
        axis.tick_params(labelbottom=lowest)
    top = axes[0, 0].get_ylim()[1]
    axes[0, 0].set(xlim=(start, end), ylim=(0, 1.22 * top))
    for axis, outcome in zip(axes.flat, outcomes.values()):
        _mark_means(axis, outcome, top, (width / columns - 0.3) / (end - start))
    legend_above(figure, {
        f'{name} pairs, mean as a {"solid" if style == "-" else "dashed"} line': Patch(
            facecolor=_faded(color), edgecolor=color, linestyle=style, hatch=hatch)
        for name, color, style, hatch in _KINDS}, title)
    return figure


def _check(name: str, outcome: 'Outcomes') -> None:
    if outcome.distances.shape != (2, NUM_BINS):
        raise ValueError(
            f'{name} has no distances: its outcomes are of an older version. Make them again with '
            f'`fdnm evaluate RUN --outcomes FILE`.')
    for (kind, *_), counts in zip(_KINDS, outcome.distances):
        if not counts.sum():
            raise ValueError(f'{name} has no {kind} pairs of a query and a gallery image: there is nothing to compare.')


def _bins_to_join(outcomes: 'Mapping[str, Outcomes]') -> int:
    """So many that a bin in which something lies has enough of the rarer kind of pairs."""
    rarer = np.stack([min(outcome.distances, key=np.sum) for outcome in outcomes.values()])
    for joined in _JOINED:
        counts = rarer.reshape(len(rarer), -1, joined).sum(axis=2)
        filled = counts > 0
        if (counts.sum(axis=1) >= _FEWEST * filled.sum(axis=1)).all():
            return joined
    return _JOINED[-1]


def _range(outcomes: 'Mapping[str, Outcomes]', joined: int) -> Tuple[float, float]:
    """Where any pair lies but for one in a thousand of each kind at each end."""
    width = MAX_DISTANCE / NUM_BINS
    starts, ends = [], []
    for outcome in outcomes.values():
        parts = outcome.distances.cumsum(axis=1) / outcome.distances.sum(axis=1, keepdims=True)
        starts.append(int((parts < 0.001).sum(axis=1).min()))
        ends.append(int((parts < 0.999).sum(axis=1).max()) + 1)
    return max(0., (min(starts) - joined) * width), min(MAX_DISTANCE, (max(ends) + joined) * width)


def _faded(color: str) -> Tuple[str, float]:
    return color, 0.25


def _draw(axis: Any, outcome: 'Outcomes', joined: int) -> None:
    edges = np.linspace(0, MAX_DISTANCE, NUM_BINS // joined + 1)
    for (_, color, style, hatch), counts in zip(_KINDS, outcome.distances):
        counts = counts.reshape(-1, joined).sum(axis=1)
        density = counts / (counts.sum() * (edges[1] - edges[0]))
        axis.stairs(
            density, edges, fill=True, facecolor=_faded(color), edgecolor=color, linestyle=style, linewidth=0.8,
            hatch=hatch)


def _mark_means(axis: Any, outcome: 'Outcomes', top: float, inches: float) -> None:
    """Lines at the means, their difference, and an arrow from one to the other where there is room for it.

    `inches` is the length of a distance of 1.
    """
    intra, inter = outcome.distance_means
    for (_, color, style, _), mean in zip(_KINDS, (intra, inter)):
        axis.plot([mean, mean], [0, 1.03 * top], color=color, linestyle=style, linewidth=1.4)
    if abs(inter - intra) * inches > 0.2:
        axis.annotate(
            '', (inter, 1.05 * top), (intra, 1.05 * top),
            arrowprops=dict(arrowstyle='<->', linewidth=0.8, shrinkA=0, shrinkB=0, mutation_scale=6))
    gap = round(inter - intra, 3) + 0.  # no -0.000
    axis.text(0.5, 1, f'd = {gap:.3f}', transform=axis.transAxes, ha='center', va='top', fontsize=SMALL)
