import numpy as np
import pytest

from fdnm_timm.plots import plot_sweep

from .print_check import check_print, legend_of


def results(*r1):
    return [{'R1': value, 'mAP': value - 1, 'std': {'R1': 0., 'mAP': 0.}} for value in r1]


def test_means_spread_and_single_runs():
    figure = plot_sweep({'loss.lambda_cnm': {1.: results(30.), 0.: results(10., 14.), .5: results(20., 26., 23.)}})
    axis, = figure.axes
    line = next(line for line in axis.lines if len(line.get_xdata()) == 3)
    assert line.get_xdata().tolist() == [0, .5, 1] and line.get_ydata().tolist() == [12, 23, 30]
    spread, filled = {}, {}
    for container in axis.containers[:3]:
        mark, _, bars = container
        x = float(mark.get_xdata()[0])
        spread[x] = np.ptp(bars[0].get_segments()[0][:, 1]) / 2 if bars else None
        filled[x] = mark.get_markerfacecolor() != 'white'
    assert spread == {0: pytest.approx(np.sqrt(8)), .5: pytest.approx(3), 1: None}
    assert filled == {0: True, .5: True, 1: False}
    assert legend_of(figure) == ['Rank-1', 'mAP', 'mean ± sd over the runs', 'one run']
    assert axis.get_xlabel() == r'$\lambda_2$'
    check_print(figure)


def test_fig_5():
    figure = plot_sweep({
        'loss.lambda_cnm': {v: results(50 + v, 51 + v) for v in (0., .1, .25, .5, 1.)},
        'loss.margin_cnm': {v: results(50 + v, 51 + v) for v in (.1, .2, .4, .8)}}, title='sysu_mm01, all_search')
    left, right = figure.axes
    assert (left.get_xlabel(), right.get_xlabel()) == (r'(a) $\lambda_2$', '(b) margin $m$')
    assert left.get_ylim() == right.get_ylim()
    assert [tick.get_text() for tick in left.get_xticklabels()] == ['0', '0.1', '0.25', '0.5', '1']
    assert 'one run' not in legend_of(figure)
    check_print(figure)


def test_wide_ranges_are_logarithmic():
    axis, = plot_sweep({'optim.lr': {v: results(10., 12.) for v in (1e-4, 1e-3, 1e-1)}}).axes
    assert axis.get_xscale() == 'log'
    axis, = plot_sweep({'optim.lr': {.1: results(10.)}}).axes
    assert axis.get_xscale() == 'linear'


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="a = 1.0: a result has no 'R5', but R1, mAP"):
        plot_sweep({'a': {1.: results(1.)}}, ['R5'])
    with pytest.raises(ValueError, match='a = 1.0 has no run'):
        plot_sweep({'a': {1.: []}})
    with pytest.raises(ValueError, match='0 sweeps'):
        plot_sweep({})
