import numpy as np
import pytest

from fdnm_timm.plots import plot_trials

from .print_check import check_print, legend_of


def result(*r1):
    trials = [{'R1': value, 'mAP': value + 1, 'VR@FAR=1%': value / 2} for value in r1]
    return {'trials': trials, 'std': dict.fromkeys(trials[0], 0.)}


def points(axis):
    return [tuple(line.get_ydata()) for line in axis.lines if line.get_marker() == 'o']


def errors(axis):
    """(mean, spread) of each error bar."""
    out = []
    for container in axis.containers:
        line, _, (bar,) = container
        low, high = bar.get_segments()[0][:, 1]
        out.append((float(line.get_ydata()[0]), (high - low) / 2))
    return out


def test_trials_mean_and_spread():
    r1, mean_ap = plot_trials({'all': [result(10., 12., 17.)], 'indoor': [result(20., 22.)]}).axes
    assert points(r1) == [(10, 12, 17), (20, 22)] and points(mean_ap) == [(11, 13, 18), (21, 23)]
    assert errors(r1) == [pytest.approx((13, np.std([10, 12, 17]))), pytest.approx((21, 1))]
    assert [tick.get_text() for tick in r1.get_xticklabels()] == ['all', 'indoor']
    assert r1.get_ylabel() == 'Rank-1 (%)'


def test_seeds_have_a_spread_of_their_own():
    figure = plot_trials({'a': [result(10., 12.), result(14., 18.)], 'b': [result(1.), result(2.), result(3.)]}, ['R1'])
    axis, = figure.axes
    assert errors(axis) == [
        pytest.approx((11, 1)), pytest.approx((16, 2)), pytest.approx((13.5, np.std([11, 16], ddof=1))),
        pytest.approx((2, 1))]
    assert legend_of(figure) == [
        'a trial', 'mean ± sd over the trials', 'mean ± sd over the runs', 'a run of one trial']
    check_print(figure)


@pytest.mark.parametrize('groups, trials, runs', [(1, 1, 1), (4, 10, 1), (2, 10, 5), (5, 1, 3)])
def test_in_print(groups, trials, runs):
    rng = np.random.default_rng(0)
    check_print(plot_trials({
        f'indoor_search_multi_shot {n}': [result(*rng.uniform(50, 60, trials)) for _ in range(runs)]
        for n in range(groups)}, title='sysu_mm01'))


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="a has no 'R5' in its trials, but R1, mAP, VR@FAR=1%"):
        plot_trials({'a': [result(1.)]}, ['R5'])
    with pytest.raises(ValueError, match='a has no results'):
        plot_trials({'a': []})
    with pytest.raises(ValueError, match='0 groups'):
        plot_trials({})
