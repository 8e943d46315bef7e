"""Ranked results: a query and its first places, with frames that tell right from wrong (the paper's Fig. 7)."""
import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np
from matplotlib.figure import Figure

from ..data import CrossModalityDataset, Record
from ._figure import new_figure, save_figure

__all__ = ['plot_ranked', 'save_ranked']

# green and red of the same lightness are one colour to some eyes: the frames differ in style and mark as well
RIGHT, WRONG = '#1a9850', '#d73027'


def plot_ranked(
        dataset: CrossModalityDataset,
        query: Sequence[Record],
        gallery: Sequence[Record],
        places: np.ndarray,
        rows: Optional[Sequence[int]] = None,
        title: str = '',
) -> Figure:
    """Draw queries, one a row, each followed by the gallery images that were found.

    Args:
        dataset: Loads the images.
        query: Query records.
        gallery: Gallery records.
        places: Gallery indices (Q, top) of each query, nearest first, -1 for none; see `metrics.retrieve`.
        rows: The queries to draw; by default eight of different identities, spread over all.
        title: Above the figure.

    Returns:
        The figure. A right image has a green solid frame and a tick, a wrong one a red dashed frame and a cross.
    """
    rows = _spread(query) if rows is None else list(rows)
    top = places.shape[1]
    figure = new_figure(0.8 * (top + 1.3), 1.75 * len(rows) + 0.7)
    axes = figure.subplots(len(rows), top + 1, squeeze=False)
    for line, row in enumerate(rows):
        path, pid, camid = query[row]
        _show(axes[line][0], dataset.load(path), f'query\ncam {camid}' if line == 0 else f'cam {camid}', '#404040', '-')
        axes[line][0].set_ylabel(f'id {pid}', fontsize=8)
        for rank_, place in enumerate(places[row]):
            axis = axes[line][rank_ + 1]
            if place < 0:
                axis.set_axis_off()
                continue
            found_path, found_pid, found_camid = gallery[place]
            right = found_pid == pid
            head = f'{rank_ + 1}\n' if line == 0 else ''
            label = f'{head}cam {found_camid} {"✓" if right else "✗"}'
            _show(axis, dataset.load(found_path), label, RIGHT if right else WRONG, '-' if right else (0, (3, 1.5)))
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _spread(query: Sequence[Record], number: int = 8) -> List[int]:
    """Indices of queries of different identities, evenly over all of them."""
    first: Dict[int, int] = {}
    for row, (_, pid, _) in enumerate(query):
        first.setdefault(pid, row)
    rows = list(first.values())
    return [rows[i] for i in np.linspace(0, len(rows) - 1, min(number, len(rows))).round().astype(int)]


def _show(axis: Any, image: Any, label: str, color: str, style: Any) -> None:
    axis.imshow(np.asarray(image))
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(label, fontsize=7, pad=2, color=color)
    for spine in axis.spines.values():
        spine.set_edgecolor(color)
        spine.set_linewidth(2.5)
        spine.set_linestyle(style)


def save_ranked(path: Union[str, os.PathLike], lists: Any, dataset: CrossModalityDataset, title: str = '') -> Path:
    """Draw an engine's `RankedLists` into a file."""
    return save_figure(path, plot_ranked(dataset, lists.query, lists.gallery, lists.places, title=title))
