import numpy as np
import pytest

from fdnm_timm.engine.evaluation import vr_name
from fdnm_timm.metrics import verification
from fdnm_timm.plots import plot_roc

from .print_check import check_print, legend_of, outcomes

FARS = (0.01, 0.001)


def verified(seed=0, trials=1, **more):
    rng = np.random.default_rng(seed)
    pids = np.arange(60) % 10
    similarity = rng.normal(size=(60, 60)) + 2 * (pids[:, None] == pids)
    result = verification(similarity, pids, pids, FARS)
    return result, outcomes(
        trials=trials, verified=np.array([vr_name(far) for far in FARS]), accepted=np.zeros((trials, 2, 60)),
        roc=np.stack(result.roc).astype(np.float32), **more)


def test_exact_points_and_marks_at_the_false_accept_rates():
    result, outcome = verified()
    curve, marks, *_ = plot_roc({'mine': outcome}).axes[0].lines
    assert curve.get_drawstyle() == 'steps-post'
    np.testing.assert_allclose(curve.get_ydata(), 100 * result.roc.tpr, rtol=1e-5)
    assert marks.get_xdata() == pytest.approx(FARS)
    assert marks.get_ydata() == pytest.approx([100 * result.vr[far] for far in FARS], rel=1e-5)


def test_axis_is_logarithmic_from_what_the_pairs_resolve():
    result, outcome = verified()
    axis = plot_roc({'mine': outcome}).axes[0]
    start, end = axis.get_xlim()
    assert axis.get_xscale() == 'log' and end == 1
    assert start <= 1 / result.num_impostor < 10 * start
    # what is accepted at a FAR of 0 stands at the left end
    curve = axis.lines[0]
    assert curve.get_xdata()[0] == start and curve.get_ydata()[0] == pytest.approx(100 * result.roc.tpr[0], rel=1e-5)


def test_several_runs_in_print():
    figure = plot_roc({f'run {n}': verified(n, trials=2)[1] for n in range(5)}, title='oulu_casia, nir_to_vis')
    assert legend_of(figure) == [f'run {n}' for n in range(5)]
    assert figure.axes[0].get_xlabel() == 'false accept rate (%), first trial'
    check_print(figure)


def test_people_are_not_verified():
    with pytest.raises(ValueError, match='mine has no ROC curve: its protocol ranks'):
        plot_roc({'mine': outcomes()})
    with pytest.raises(ValueError, match='no outcomes'):
        plot_roc({})


def test_a_rate_that_is_met_exactly():
    """In float32, as stored, 0.001 is a little more."""
    roc = np.array([[0, 0.001, 1], [0.2, 0.5, 1], [0.9, 0.5, -1]], dtype=np.float32)
    assert float(roc[0, 1]) > 0.001
    _, marks, *_ = plot_roc({'mine': verified()[1]._replace(roc=roc)}).axes[0].lines
    assert marks.get_ydata() == pytest.approx([50, 50])
