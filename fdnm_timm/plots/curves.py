"""Training curves."""
from typing import Any, Mapping, Sequence

from matplotlib.figure import Figure

from ._figure import new_figure

__all__ = ['plot_training']

_NAMES = {'loss': 'total', 'loss_id': '$L_{id}$', 'loss_tri': '$L_{tri}$', 'loss_cnm': '$L_{cnm}$'}
_COLORS = {'loss': '#000000', 'loss_id': '#0072b2', 'loss_tri': '#d55e00', 'loss_cnm': '#009e73'}  # Okabe and Ito
_STYLES = {'loss': '-', 'loss_id': '--', 'loss_tri': '-.', 'loss_cnm': ':'}


def plot_training(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Losses and training accuracy over the epochs, from the 'history' of a run's results.json."""
    figure = new_figure(7, 2.8)
    left, right = figure.subplots(1, 2)
    epochs = [entry['epoch'] for entry in history]
    for key, name in _NAMES.items():
        if history and key in history[0]:
            values = [entry[key] for entry in history]
            left.plot(epochs, values, _STYLES[key], color=_COLORS[key], label=name, marker='.')
    left.set(xlabel='epoch', ylabel='loss (mean of the epoch)')
    left.legend(frameon=False, fontsize=8)
    right.plot(epochs, [100 * entry['accuracy'] for entry in history], color='#0072b2', marker='.')
    right.set(xlabel='epoch', ylabel='training accuracy (%)', ylim=(0, 100))
    for axis in (left, right):
        axis.spines[['top', 'right']].set_visible(False)
        axis.xaxis.get_major_locator().set_params(integer=True)
    return figure
