"""Training curves."""
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

import numpy as np
from matplotlib.figure import Figure

from ._figure import DOUBLE, legend_above, new_figure, plain_axes, series

__all__ = ['plot_training']

History = Sequence[Mapping[str, Any]]

_LOSSES = {'loss': 'total', 'loss_id': '$L_{id}$', 'loss_tri': '$L_{tri}$', 'loss_cnm': '$L_{cnm}$'}
# key, axis label and factor of what is no loss
_OTHERS: Tuple[Tuple[str, str, float], ...] = (
    ('accuracy', 'training accuracy (%)', 100.), ('lr', 'learning rate', 1.))
_MOST_DOTS = 20


def plot_training(history: Union[History, Mapping[str, History]]) -> Figure:
    """Draw losses, training accuracy and learning rate over the epochs, each the mean of its epoch.

    Args:
        history: The 'history' of a run's results.json; or several runs' by their names, such as those of several seeds,
            which then have a panel for each loss.

    Raises:
        ValueError: There is no run, or one that trained for no epoch.
    """
    runs: Dict[str, History] = dict(history) if isinstance(history, Mapping) else {'': history}
    for name, own in runs.items():
        if not own:
            raise ValueError(f'{name or "The run"} has no training history: it trained for no epoch.')
    if not runs:
        raise ValueError('There is no training history to draw.')
    return _several(runs) if len(runs) > 1 else _one(next(iter(runs.values())))


def _one(history: History) -> Figure:
    figure = new_figure(DOUBLE, 2.1)
    axes = figure.subplots(1, 1 + len(_OTHERS))
    entries = {
        name: _line(axes[0], history, key, series(number))
        for number, (key, name) in enumerate(_LOSSES.items()) if any(key in entry for entry in history)}
    _finish(axes[0], 'loss')
    for axis, (key, label, factor) in zip(axes[1:], _OTHERS):
        _line(axis, history, key, series(0), factor)
        _finish(axis, label, key)
    legend_above(figure, entries)
    return figure


def _several(runs: Mapping[str, History]) -> Figure:
    """A panel each, a line a run."""
    panels: List[Tuple[str, str, float]] = [
        *((key, f'loss, {name}', 1.) for key, name in _LOSSES.items()
          if any(key in entry for history in runs.values() for entry in history)), *_OTHERS]
    columns = 3
    rows = -(-len(panels) // columns)
    figure = new_figure(DOUBLE, 1.9 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    entries: Dict[str, Any] = {}
    for axis, (key, label, factor) in zip(axes.flat, panels):
        for number, (name, history) in enumerate(runs.items()):
            if any(key in entry for entry in history):
                entries[name] = _line(axis, history, key, series(number), factor)
        _finish(axis, label, key)
    for axis in axes.flat[len(panels):]:
        axis.set_axis_off()
    legend_above(figure, {name: entries[name] for name in runs})
    return figure


def _line(axis: Any, history: History, key: str, style: Mapping[str, Any], factor: float = 1.) -> Any:
    values = [factor * entry.get(key, np.nan) for entry in history]
    marker = '.' if len(history) <= _MOST_DOTS else ''
    return axis.plot([entry['epoch'] for entry in history], values, marker=marker, markersize=4, **style)[0]


def _finish(axis: Any, label: str, key: str = '') -> None:
    plain_axes(axis, 'epoch', label)
    axis.xaxis.get_major_locator().set_params(integer=True)
    if key == 'accuracy':
        axis.set_ylim(0, 100)
    elif key == 'lr':
        values = np.concatenate([line.get_ydata() for line in axis.lines])
        if (values > 0).all() and values.max() > 20 * values.min():  # several steps, of a tenth each
            axis.set_yscale('log')
            axis.minorticks_off()
    else:
        axis.set_ylim(bottom=0)
