import pytest
import torch
from torch import nn

from fdnm_timm.benchmarks.literal import LiteralAGP
from fdnm_timm.benchmarks.memory import saved_bytes
from fdnm_timm.layers import AmplitudeGuidedPhase


@pytest.fixture()
def x() -> torch.Tensor:
    return torch.randn(6, 4).requires_grad_()


def test_counts_what_is_new(x):
    size = 6 * 4 * 4
    assert saved_bytes(lambda x: 2 * x, x) == 0
    assert saved_bytes(lambda x: x * x, x) == 0  # the input is there anyway
    assert saved_bytes(lambda x: x.exp(), x) == size
    assert saved_bytes(lambda x: x.exp().exp(), x) == 2 * size


def test_counts_a_storage_once_and_whole(x):
    size = 6 * 4 * 4
    assert saved_bytes(lambda x: [y := x.exp(), y * y, y.t() ** 2], x) == size
    assert saved_bytes(lambda x: (2 * x)[:1] ** 2, x) == size
    assert saved_bytes(lambda x: x.double() ** 2, x) == 2 * size


def test_parameters_do_not_count(x):
    linear = nn.Linear(4, 5)
    assert saved_bytes(linear, x) == 0
    assert saved_bytes(nn.Sequential(linear, nn.Tanh(), nn.Linear(5, 2)), x) == 6 * 5 * 4


def test_nothing_is_kept_without_gradients():
    assert saved_bytes(lambda x: x.exp(), torch.randn(3)) == 0
    with torch.no_grad():
        assert saved_bytes(lambda x: x.exp(), torch.randn(3, requires_grad=True)) == 12  # switched on within


def test_agp_keeps_at_most_half_of_its_literal_form():
    x = torch.randn(2, 8, 12, 6).relu().requires_grad_()
    spectrum = 2 * 8 * 12 * 4 * 2 * 4
    ours = saved_bytes(AmplitudeGuidedPhase(8), x)
    assert spectrum <= ours < 1.1 * spectrum  # the spectrum and the gate
    assert ours <= 0.5 * saved_bytes(LiteralAGP(8), x)
