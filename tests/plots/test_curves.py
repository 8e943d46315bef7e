import pytest

from fdnm_timm.plots import plot_training

from .print_check import check_print, legend_of


def history(epochs=3, without=(), start=5.):
    return [{key: value for key, value in {
        'epoch': n, 'lr': 0.1 / 10 ** (n // 3), 'loss': start / n, 'loss_id': 3. / n, 'loss_tri': 1., 'loss_cnm': 0.5,
        'accuracy': 0.9 * n / epochs}.items() if key not in without} for n in range(1, epochs + 1)]


def test_one_run():
    mine = history()
    figure = plot_training(mine)
    losses, accuracy, rate = figure.axes
    assert [line.get_ydata().tolist() for line in losses.lines] == [
        [entry[key] for entry in mine] for key in ('loss', 'loss_id', 'loss_tri', 'loss_cnm')]
    assert len({line.get_linestyle() for line in losses.lines}) == 4
    assert accuracy.lines[0].get_ydata().tolist() == pytest.approx([30, 60, 90])  # in percent
    assert rate.lines[0].get_ydata().tolist() == [entry['lr'] for entry in mine]
    assert all(line.get_xdata().tolist() == [1, 2, 3] for axis in figure.axes for line in axis.lines)
    assert legend_of(figure) == ['total', '$L_{id}$', '$L_{tri}$', '$L_{cnm}$']
    check_print(figure)


def test_of_an_ablation():
    figure = plot_training(history(1, without=('loss_cnm',)))
    assert legend_of(figure) == ['total', '$L_{id}$', '$L_{tri}$']
    check_print(figure)


def test_many_epochs_have_no_dots_and_steps_of_the_rate_are_seen():
    figure = plot_training(history(150))
    assert figure.axes[0].lines[0].get_marker() == '' and figure.axes[2].get_yscale() == 'log'
    assert plot_training(history()).axes[0].lines[0].get_marker() == '.'


def test_several_seeds():
    runs = {f'seed {n}': history(start=5. + n) for n in range(5)}
    runs['base'] = history(without=('loss_cnm',))
    figure = plot_training(runs)
    panels = {axis.get_ylabel(): axis for axis in figure.axes}
    assert list(panels) == [
        'loss, total', 'loss, $L_{id}$', 'loss, $L_{tri}$', 'loss, $L_{cnm}$', 'training accuracy (%)', 'learning rate']
    assert [line.get_ydata()[0] for line in panels['loss, total'].lines] == [5, 6, 7, 8, 9, 5]
    assert len(panels['loss, $L_{cnm}$'].lines) == 5
    assert legend_of(figure) == list(runs)
    check_print(figure)


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='The run has no training history: it trained for no epoch'):
        plot_training([])
    with pytest.raises(ValueError, match='seed 1 has no training history'):
        plot_training({'seed 0': history(), 'seed 1': []})
