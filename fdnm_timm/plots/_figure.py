"""What the figures share: sizes of print, colours, legends, and how they are saved."""
import math
import os
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Union

try:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.textpath import TextPath
except ImportError as error:
    raise ImportError(f'{error}. Pictures need it: pip install "fdnm_timm[plots]".') from error

from ..files import replacing

__all__ = [
    'COLORS', 'DOUBLE', 'MARKERS', 'SINGLE', 'SMALL', 'STYLES', 'SUFFIXES', 'TEXT', 'legend_above', 'metric_name',
    'new_figure', 'plain_axes', 'save_figure', 'series', 'wrap',
]

SINGLE, DOUBLE = 3.4, 7.  # inches: a column's and a page's width where papers are printed
TEXT, SMALL = 8, 7  # points
SUFFIXES = ('.png', '.pdf', '.svg')

# of Okabe and Ito, without yellow, which white paper swallows
COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000')
STYLES: Sequence[Any] = ('-', '--', '-.', ':', (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X')


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches that needs no display and no pyplot state."""
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def save_figure(path: Union[str, os.PathLike], figure: Figure, dpi: int = 150) -> Path:
    """Write a figure whole; the format goes by the suffix, and the same figure gives the same bytes.

    Raises:
        ValueError: The suffix is none of .png, .pdf and .svg.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f'"{path}" is no name of a picture: it must end in {", ".join(SUFFIXES)}.')
    date: Dict[str, Any] = {'.pdf': {'CreationDate': None}, '.svg': {'Date': None}}.get(path.suffix.lower(), {})
    # publishers refuse Type 3 fonts, matplotlib's default
    with replacing(path) as temporary, rc_context({'pdf.fonttype': 42, 'svg.hashsalt': 'fdnm'}):
        figure.savefig(temporary, dpi=dpi, metadata=date)
    return path


def series(number: int) -> Dict[str, Any]:
    """Colour and line style of the n-th line: what colour tells, the style tells too."""
    return {'color': COLORS[number % len(COLORS)], 'linestyle': STYLES[number % len(STYLES)], 'linewidth': 1.3}


def metric_name(metric: str) -> str:
    """As axes and legends name it: 'Rank-1' for 'R1'."""
    return f'Rank-{metric[1:]}' if metric[:1] == 'R' and metric[1:].isdecimal() else metric


def plain_axes(axis: Any, xlabel: str = '', ylabel: str = '', title: str = '') -> None:
    """Axes without a box, in sizes that stay readable in print."""
    axis.spines[['top', 'right']].set_visible(False)
    axis.tick_params(labelsize=SMALL, width=0.6, length=3)
    axis.set_xlabel(xlabel, fontsize=TEXT)
    axis.set_ylabel(ylabel, fontsize=TEXT)
    axis.set_title(title, fontsize=TEXT)
    for spine in axis.spines.values():
        spine.set_linewidth(0.6)


def _inches(text: str, size: float) -> float:
    return TextPath((0, 0), text, size=size).get_extents().width / 72 if text.strip() else 0.


def wrap(text: str, inches: float, size: float = SMALL) -> str:
    """Lines of at most so many inches, broken after a space or a sign where that is possible."""
    lines: List[str] = ['']
    for part in re.findall(r'[^ _+,/=-]{1,12}[ _+,/=-]*|[ _+,/=-]+', text):
        if lines[-1] and _inches((lines[-1] + part).rstrip(), size) > inches:
            lines.append('')
        lines[-1] += part
    return '\n'.join(line.rstrip(' ') for line in lines)


def _columns(widths: Sequence[float], width: float) -> int:
    """The most columns of a legend that fit; matplotlib fills one column after another."""
    for columns in range(len(widths), 1, -1):
        rows = math.ceil(len(widths) / columns)
        if sum(max(widths[i:i + rows]) for i in range(0, len(widths), rows)) <= width:
            return columns
    return 1


def legend_above(figure: Figure, entries: Mapping[str, Any], title: str = '') -> None:
    """Title and legend, by {name: artist}, over the axes and never over the data; the figure grows by their height."""
    width, height = figure.get_size_inches()
    of_handle = 0.55
    title = wrap(title, width - 0.1, TEXT)
    names = [wrap(name, width - of_handle) for name in entries]
    widths = [max(_inches(line, SMALL) for line in name.split('\n')) + of_handle for name in names]
    columns = _columns(widths, width)
    lines = math.ceil(len(names) / columns) * max(name.count('\n') + 1 for name in names)
    figure.set_size_inches(width, height + 0.14 * lines + 0.16 * (title.count('\n') + 1 if title else 0) + 0.05)
    figure.legend(
        list(entries.values()), names, title=title or None, title_fontsize=TEXT, loc='outside upper center',
        ncols=columns, frameon=False, fontsize=SMALL, handlelength=2.8, handletextpad=0.5, columnspacing=1.2,
        labelspacing=0.3, borderaxespad=0.2, borderpad=0.2)
