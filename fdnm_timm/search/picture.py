"""A contact sheet of answers: each query with the images that were found, and a mark where the threshold lies."""
import os
from pathlib import Path
from typing import Any, Optional, Sequence, Union

import numpy as np
from matplotlib.figure import Figure

from ..data import read_image
from ..plots._figure import new_figure, save_figure
from .answers import Answer, Answers

__all__ = ['plot_answers', 'save_answers']

_WIDTH = 7.  # inches, a page's text
_MAX_TOP = 10  # images in a row that can still be made out
_MAX_ROWS = 5  # that fit a page
_INSIDE, _OUTSIDE, _NEUTRAL = '#0072b2', '#7f7f7f', '#404040'
_MARK = '#d55e00'
_NAME_LENGTH = 24  # characters of a path's end


def plot_answers(answers: Answers, rows: Optional[Sequence[int]] = None) -> Figure:
    """Draw queries, one a row, each followed by the images that were found.

    Args:
        answers: What `search` gave; the images are read from their paths.
        rows: The answers to draw; by default up to five, evenly over all.

    Returns:
        The figure, up to ten images a row with their cosines. An orange bar stands where the threshold lies: images
        before it reach it and have a solid frame, those behind it a dashed one.

    Raises:
        DatasetError: An image cannot be read.
    """
    if rows is None:
        number = min(_MAX_ROWS, len(answers.answers))
        rows = np.linspace(0, len(answers.answers) - 1, number).round().astype(int).tolist()
    chosen = [answers.answers[row] for row in rows]
    top = min(_MAX_TOP, answers.top, max(1, *(len(answer.matches) for answer in chosen)))
    images = [[read_image(path) for path in (answer.query, *(match.path for match in answer.matches[:top]))]
              for answer in chosen]
    # all axes are as high as the image of the middle shape needs
    shape = float(np.median([image.height / image.width for line in images for image in line]))
    column = _WIDTH / (top + 1.6)
    figure = new_figure(_WIDTH, len(chosen) * (column * shape + 0.2) + 0.6)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.05, h_pad=0.03, wspace=0, hspace=0)
    axes = figure.subplots(len(chosen), top + 1, squeeze=False)
    for number, (answer, shown) in enumerate(zip(chosen, images)):
        _draw(axes[number], answer, shown, answers, first=number == 0)
    figure.suptitle(_title(answers), fontsize=8)
    return figure


def _draw(axes: Any, answer: Answer, images: Sequence[Any], answers: Answers, first: bool) -> None:
    word = {None: 'query', True: 'known', False: 'unknown'}[answer.known]
    _show(axes[0], images[0], word, _NEUTRAL, '-')
    axes[0].set_ylabel(_end_of(answer.query), fontsize=7)
    value = None if answers.threshold is None else answers.threshold.value
    for place, axis in enumerate(axes[1:]):
        if place >= len(images) - 1:
            axis.set_axis_off()
            continue
        similarity = answer.matches[place].similarity
        inside = value is None or similarity >= value
        color = _NEUTRAL if value is None else _INSIDE if inside else _OUTSIDE
        head = f'{place + 1}\n' if first else ''
        _show(axis, images[place + 1], f'{head}{similarity:.3f}', color, '-' if inside else (0, (2, 2)))
    if value is not None:
        number = sum(match.similarity >= value for match in answer.matches[:len(images) - 1])
        axis, x = (axes[number], 1.09) if number else (axes[1], -0.09)
        axis.plot([x, x], [-0.03, 1.03], transform=axis.transAxes, color=_MARK, linewidth=2, clip_on=False)[
            0].set_in_layout(False)


def _show(axis: Any, image: Any, label: str, color: str, style: Any) -> None:
    axis.imshow(np.asarray(image))
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(label, fontsize=7, pad=3, color=color)
    for spine in axis.spines.values():
        spine.set(edgecolor=color, linewidth=1.8, linestyle=style)


def _end_of(path: str) -> str:
    """The last folders and the name, as far as there is room."""
    end = Path(path).name
    for folder in reversed(Path(path).parts[:-1]):
        if len(folder) + 1 + len(end) > _NAME_LENGTH:
            break
        end = f'{folder}/{end}'
    return end if len(end) <= _NAME_LENGTH else f'…{end[1 - _NAME_LENGTH:]}'


def _title(answers: Answers) -> str:
    name = f'{answers.gallery_size:,} images, {answers.kind} index; cosine above each image'
    if answers.threshold is None:
        return name
    far = '' if answers.threshold.far is None else f', FAR {answers.threshold.far:g} of pairs'
    return (f'{name}\nbar: threshold {answers.threshold.value:.3f}{far}; solid frame: at or above it, '
            f'dashed: below')


def save_answers(path: Union[str, os.PathLike], answers: Answers, rows: Optional[Sequence[int]] = None) -> Path:
    """Draw answers into a file: .png, .pdf or .svg."""
    return save_figure(path, plot_answers(answers, rows), dpi=200)
