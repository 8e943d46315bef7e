"""Pictures of results, as matplotlib figures; docs/figures.md says what each is made from."""
from ._figure import save_figure
from .cmc import plot_cmc
from .curves import plot_training
from .distances import plot_distances
from .ranked import plot_ranked, save_ranked
from .roc import plot_roc
from .spectra import plot_swap
from .sweep import plot_sweep
from .trials import plot_trials
from .tsne import plot_tsne

__all__ = [
    'plot_cmc', 'plot_distances', 'plot_ranked', 'plot_roc', 'plot_swap', 'plot_sweep', 'plot_training', 'plot_trials',
    'plot_tsne', 'save_figure', 'save_ranked',
]
