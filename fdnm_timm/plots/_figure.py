"""What the figures share."""
import os
from pathlib import Path
from typing import Union

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..files import replacing

__all__ = ['new_figure', 'save_figure']


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches that needs no display and no pyplot state."""
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def save_figure(path: Union[str, os.PathLike], figure: Figure, dpi: int = 150) -> Path:
    """Write a figure whole; the format goes by the suffix."""
    path = Path(path)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return path
