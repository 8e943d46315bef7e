"""Pictures of results, as matplotlib figures."""
from ._figure import save_figure
from .curves import plot_training
from .ranked import plot_ranked, save_ranked

__all__ = ['plot_ranked', 'plot_training', 'save_figure', 'save_ranked']
