import numpy as np
import pytest

from fdnm_timm.metrics import bootstrap
from fdnm_timm.plots import plot_cmc

from .print_check import check_print, legend_of, outcomes


def test_curve_is_the_mean_over_the_trials():
    outcome = outcomes(trials=3)
    line, = [line for line in plot_cmc({'mine': outcome}).axes[0].lines]
    expected = [
        np.mean([100 * np.mean(trial[trial >= 0] < rank) for trial in outcome.first]) for rank in range(1, 21)]
    assert line.get_xdata().tolist() == list(range(1, 21))
    np.testing.assert_allclose(line.get_ydata(), expected)


def test_band_is_the_interval_over_identities():
    outcome = outcomes()
    band, = plot_cmc({'mine': outcome}, ranks=5).axes[0].collections
    points = band.get_paths()[0].vertices
    for rank in (1, 5):
        interval = bootstrap(outcome.per_query(f'R{rank}'), outcome.pids)
        heights = points[points[:, 0] == rank, 1]
        assert {round(h, 6) for h in heights} == {round(interval.low, 6), round(interval.high, 6)}


def test_bands_where_they_can_be_told_apart():
    many = {f'run {n}': outcomes(n) for n in range(4)}
    assert not plot_cmc(many).axes[0].collections
    assert len(plot_cmc(many, band=True, ranks=2).axes[0].collections) == 4
    three = dict(list(many.items())[:3])
    figure = plot_cmc(three, title='sysu_mm01, all_search_single_shot')
    assert legend_of(figure) == [*three, '95 % interval']
    check_print(figure)
    alone = outcomes()._replace(pids=np.zeros(60, dtype=int))  # nobody else can be drawn
    assert not plot_cmc({'one': alone}).axes[0].collections


def test_lines_differ_in_style_and_marker():
    lines = plot_cmc({f'run {n}': outcomes(n) for n in range(5)}, band=False).axes[0].lines
    assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines}) == 5


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='0 curves'):
        plot_cmc({})
