"""What every figure must be in print."""
from typing import Any, Tuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from fdnm_timm.saved import Outcomes

SMALLEST = 7  # points


def check_print(figure: Figure, width: Tuple[float, ...] = (3.4, 7.)) -> None:
    """A column's or a page's width, no text too small or cut off, and no legend over the data."""
    assert figure.get_size_inches()[0] in width
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    assert texts and min(text.get_fontsize() for text in texts) >= SMALLEST
    page = figure.bbox
    for axis in figure.axes:
        if not axis.axison:
            continue
        box = axis.get_tightbbox(renderer)
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1 and page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1
        assert axis.get_window_extent().height > 0.35 * page.height / _rows(figure)
        for legend in figure.legends:
            assert not legend.get_window_extent(renderer).overlaps(box)
            assert legend.get_window_extent(renderer).x0 >= -1


def _rows(figure: Figure) -> int:
    return max(axis.get_subplotspec().get_gridspec().nrows for axis in figure.axes)


def legend_of(figure: Figure) -> list:
    legend, = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def outcomes(seed: int = 0, trials: int = 1, queries: int = 60, **more: Any) -> Outcomes:
    """Of ten identities; the last query has no match."""
    rng = np.random.default_rng(seed)
    first = rng.geometric(0.15, (trials, queries)) - 1
    ap = rng.random((trials, queries))
    first[:, -1], ap[:, -1] = -1, np.nan
    return Outcomes(np.arange(queries) % 10, first, ap, ap, **more)
