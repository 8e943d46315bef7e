"""Ranked results: a query and its first places, with frames that tell right from wrong (the paper's Fig. 7)."""
import os
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ..data import CrossModalityDataset, Record
from ..saved import RankedQuery, load_image, ranked_queries, spread
from ._figure import DOUBLE, SINGLE, SMALL, TEXT, new_figure, save_figure, wrap

__all__ = ['plot_ranked', 'save_ranked']

# Okabe and Ito's green and vermilion; the frames differ in style and mark as well
RIGHT, WRONG, NEUTRAL = '#009e73', '#d55e00', '#404040'
_HEIGHT = 8.5  # inches that a page has room for
_TOP = 10  # images in a row that can still be made out
_COLUMN = DOUBLE / (_TOP + 1.7)  # inches; the labels at the left take the rest


def plot_ranked(
        ranked: Union[Sequence[RankedQuery], Mapping[str, Sequence[RankedQuery]]],
        load: Callable[[str], Image.Image],
        number: Optional[int] = None,
        title: str = '',
) -> Figure:
    """Draw queries, each followed by the gallery images that were found, nearest first.

    Args:
        ranked: The queries of a setting, as `read_ranked` gives them; or those of several runs under their names, which
            are drawn above one another for the queries that all of them have.
        load: Gives the RGB image of a record's path, such as `functools.partial(load_image, dataset)`.
        number: Queries to draw; by default as many as a page has room for. They are of different identities, evenly
            over all: nobody chooses what is shown.
        title: Above the figure.

    Returns:
        The figure with up to ten places, 7 inches wide where there are ten. A right image has a green solid frame and a
        tick, a wrong one a vermilion dashed frame and a cross. The camera's number stands above each image.

    Raises:
        ValueError: There is no query, or none that all runs have.
        DatasetError: An image cannot be read.
    """
    runs = dict(ranked) if isinstance(ranked, Mapping) else {'': ranked}
    found = _by_query(runs)
    queries = list(found)
    top = min(_TOP, max(1, *(len(run.places) for lists in found.values() for run in lists)))
    # all axes are as high as the image of the middle shape needs
    some = [load(queries[i][0]) for i in spread([pid for _, pid, _ in queries], 8)]
    row = _COLUMN * float(np.median([image.height / image.width for image in some])) + 0.2
    block_height = len(runs) * row + 0.04
    head = 0.12 + (0.25 if title else 0)
    if number is None:
        number = min(8, max(1, int((_HEIGHT - head) / block_height)))
    chosen = [queries[i] for i in spread([pid for _, pid, _ in queries], number)]
    figure = new_figure(max(SINGLE, _COLUMN * (top + 1.7)), len(chosen) * block_height + head)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.03, h_pad=0.02, wspace=0, hspace=0)
    blocks = figure.subfigures(len(chosen), 1, squeeze=False)[:, 0]
    names = [wrap(name, row - 0.2) for name in runs]
    for place, (block, query) in enumerate(zip(blocks, chosen)):
        _draw_query(block, query, list(zip(names, found[query])), load, top, first=place == 0)
    if title:
        figure.suptitle(title, fontsize=TEXT)
    return figure


def _by_query(runs: Mapping[str, Sequence[RankedQuery]]) -> Dict[Record, List[RankedQuery]]:
    """Each query that all runs have, with what each run found for it."""
    of_runs = [{item.query: item for item in queries} for queries in runs.values()]
    common = [query for query in of_runs[0] if all(query in of_run for of_run in of_runs)] if of_runs else []
    if not common:
        counts = ', '.join(f'{name!r} {len(queries)}' if name else str(len(queries)) for name, queries in runs.items())
        raise ValueError(
            f'There is no query to draw: the runs have {counts or "none"}, and none is in all of them. Give runs of '
            f'the same data set, target and setting.')
    return {query: [of_run[query] for of_run in of_runs] for query in common}


def _draw_query(
        block: Any,
        query: Record,
        runs: Sequence[Tuple[str, RankedQuery]],
        load: Callable[[str], Image.Image],
        top: int,
        first: bool,
) -> None:
    path, pid, camid = query
    grid = block.add_gridspec(len(runs), top + 1)
    axis = block.add_subplot(grid[:, 0])
    _show(axis, load(path), f'query\ncam {camid}' if first else f'cam {camid}', NEUTRAL, '-')
    axis.set_ylabel(f'id {pid}', fontsize=SMALL, labelpad=2)
    for line, (name, run) in enumerate(runs):
        for place in range(top):
            axis = block.add_subplot(grid[line, place + 1])
            if place == 0 and name:
                axis.set_ylabel(name, fontsize=SMALL, labelpad=2)
            if place >= len(run.places):
                _leave_empty(axis)
                continue
            found, found_pid, found_camid = run.places[place]
            right = found_pid == pid
            head = f'{place + 1}\n' if first and line == 0 else ''
            label = f'{head}cam {found_camid} {"✓" if right else "✗"}'
            _show(axis, load(found), label, RIGHT if right else WRONG, '-' if right else (0, (3, 1.5)))


def _leave_empty(axis: Any) -> None:
    """An axis without a frame; it keeps its label."""
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _show(axis: Any, image: Image.Image, label: str, color: str, style: Any) -> None:
    axis.imshow(np.asarray(image))
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(label, fontsize=SMALL, pad=2.5, color=color)
    for spine in axis.spines.values():
        spine.set(edgecolor=color, linewidth=1.8, linestyle=style)


def save_ranked(path: Union[str, os.PathLike], lists: Any, dataset: CrossModalityDataset, title: str = '') -> Path:
    """Draw an engine's `RankedLists` into a file."""
    queries = ranked_queries(lists, dataset)
    return save_figure(path, plot_ranked(queries, lambda image: load_image(dataset, image), title=title), dpi=200)
