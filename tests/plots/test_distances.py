import numpy as np
import pytest
from matplotlib.patches import StepPatch

from fdnm_timm.metrics.distances import NUM_BINS
from fdnm_timm.plots import plot_distances

from .print_check import check_print, legend_of, outcomes


def with_distances(intra=0.6, inter=0.9, number=(3000, 90000), seed=0):
    rng = np.random.default_rng(seed)
    values = [rng.normal(mean, 0.1, size) for mean, size in zip((intra, inter), number)]
    return outcomes(
        distances=np.stack([np.histogram(v, NUM_BINS, (0, 2))[0] for v in values]),
        distance_means=np.array([v.mean() for v in values]))


def stairs(axis):
    return [patch for patch in axis.patches if isinstance(patch, StepPatch)]


def test_densities_have_area_one_whatever_the_number_of_pairs():
    axis, = plot_distances({'mine': with_distances()}).axes
    drawn = stairs(axis)
    assert len(drawn) == 2
    for patch in drawn:
        values, edges, _ = patch.get_data()
        assert (values * np.diff(edges)).sum() == pytest.approx(1)
    # told apart without colours
    assert len({patch.get_hatch() for patch in drawn}) == len({str(patch.get_linestyle()) for patch in drawn}) == 2


def test_lines_stand_at_the_exact_means():
    outcome = with_distances()._replace(distance_means=np.array([0.61234, 0.91234]))
    axis, = plot_distances({'mine': outcome}).axes
    assert [line.get_xdata()[0] for line in axis.lines] == [0.61234, 0.91234]
    assert 'd = 0.300' in [text.get_text() for text in axis.texts]


def test_bins_are_joined_where_pairs_are_few():
    many, few = (
        len(stairs(plot_distances({'a': with_distances(number=n)}).axes[0])[0].get_data()[0])
        for n in ((10 ** 5, 10 ** 6), (50, 500)))
    assert many == NUM_BINS and few < 50
    both = plot_distances({'many': with_distances(number=(10 ** 5, 10 ** 6)), 'few': with_distances(number=(50, 500))})
    assert {len(patch.get_data()[0]) for axis in both.axes for patch in stairs(axis)} == {few}


@pytest.mark.parametrize('number', [1, 2, 5, 7])
def test_panels_share_their_axes(number):
    names = ['initial', 'base+local', 'a run with a name that is too long for a line', *'defg'][:number]
    figure = plot_distances({
        name: with_distances(0.7 - 0.03 * n, 0.7 + 0.05 * n, seed=n) for n, name in enumerate(names)},
        title='sysu_mm01, all_search_single_shot')
    axes = [axis for axis in figure.axes if axis.axison]
    assert len(axes) == number
    assert len({axis.get_xlim() for axis in axes}) == len({axis.get_ylim() for axis in axes}) == 1
    for axis in axes:
        assert all(stairs(axis)[k].get_data()[0].max() < axis.get_ylim()[1] for k in (0, 1))
    check_print(figure)
    assert len(legend_of(figure)) == 2


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match='old has no distances.*older version.*fdnm evaluate'):
        plot_distances({'old': outcomes()})
    with pytest.raises(ValueError, match='one has no inter-class pairs'):
        outcome = with_distances()
        plot_distances({'one': outcome._replace(distances=outcome.distances * [[1], [0]])})
