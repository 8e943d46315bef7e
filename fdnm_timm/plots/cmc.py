"""CMC curves: how often a right image is among the first r."""
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..metrics import bootstrap
from ._figure import MARKERS, SINGLE, legend_above, new_figure, plain_axes, series

if TYPE_CHECKING:
    from ..saved import Outcomes

__all__ = ['plot_cmc']

# more bands than that hide each other
_MOST_BANDS = 3


def plot_cmc(
        outcomes: 'Mapping[str, Outcomes]',
        ranks: int = 20,
        band: Optional[bool] = None,
        title: str = '',
        width: float = SINGLE,
) -> Figure:
    """Draw rank-1 to rank-`ranks` accuracy, in percent, as means over the trials.

    Args:
        outcomes: Each curve's name and the outcomes of a setting.
        ranks: The last rank.
        band: Shade the 95 % interval of each curve, point by point, by the bootstrap over test identities (see
            `metrics.bootstrap`); None: where there are at most three curves. A curve of one identity has none.
        title: Above the legend.
        width: Of the figure, in inches.

    Raises:
        ValueError: No curve, or no rank.
    """
    if not outcomes or ranks < 1:
        raise ValueError(f'There are {len(outcomes)} curves of {ranks} ranks, but at least 1 of each is drawn.')
    figure = new_figure(width, 2.3)
    axis = figure.subplots()
    places = np.arange(1, ranks + 1)
    entries: Dict[str, Any] = {}
    bands: Dict[str, Any] = {}
    shaded = len(outcomes) <= _MOST_BANDS if band is None else band
    for number, (name, outcome) in enumerate(outcomes.items()):
        line = series(number)
        values = [float(np.mean(outcome.per_trial(f'R{place}'))) for place in places]
        entries[name], = axis.plot(
            places, values, marker=MARKERS[number % len(MARKERS)], markersize=3, markevery=max(1, ranks // 10), **line)
        if shaded and len(np.unique(outcome.pids[~np.isnan(outcome.per_query('R1'))])) > 1:
            low, high = _band(outcome, places)
            axis.fill_between(places, low, high, color=line['color'], alpha=0.15, linewidth=0)
            bands = {'95 % interval': Patch(color='black', alpha=0.15, linewidth=0)}
    plain_axes(axis, 'rank r', 'right within the first r (%)')
    axis.set_xlim(0.5, ranks + 0.5)
    axis.set_xticks(sorted({1, *range(5, ranks + 1, 5)}) if 5 <= ranks <= 30 else axis.get_xticks())
    bottom, top = axis.get_ylim()
    axis.set_ylim(max(0, bottom), min(102, top))
    axis.grid(axis='y', linewidth=0.4, color='#dddddd')
    axis.set_axisbelow(True)
    legend_above(figure, {**entries, **bands}, title)
    return figure


def _band(outcome: 'Outcomes', places: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    intervals = [bootstrap(outcome.per_query(f'R{place}'), outcome.pids) for place in places]
    return np.array([i.low for i in intervals]), np.array([i.high for i in intervals])
