"""The layers' exportable form: real operations only, the same values, and gradients that stay finite."""
import pytest
import torch
from timm.layers import set_exportable

from fdnm_timm import spectrum
from fdnm_timm.layers import AmplitudeGuidedPhase, AmplitudeNuancesMining
from fdnm_timm.spectrum._pointwise import modulate


def some_spectrum(*shape: int) -> torch.Tensor:
    """With the values that are trouble: zeros of both signs, the axes, and sizes whose squares are 0 or infinite."""
    spec = torch.randn(*shape, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).float()
    rows = spec.view(-1, 2)
    rows[:8] = torch.tensor([
        [0., 0.], [-0., -0.], [3., 0.], [-3., 0.], [0., -3.], [1e-30, -1e-30], [-2e-38, 0.], [1e30, 2e30]])
    return spec


@torch.no_grad()
def test_pointwise_functions_are_the_same():
    spec = some_spectrum(2, 3, 4, 3)
    strength = torch.rand(2, 3)
    weight = torch.randn(2, 3, 2, 4, 3)
    got, expected = spectrum.amplitude(spec, exportable=True), spectrum.amplitude(spec)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-30)
    assert got.isfinite().all() and (got != 0).any()
    got = modulate(weight.flatten(-2).flatten(0, 1), spec.flatten(2, 3).flatten(0, 1), exportable=True)
    expected = modulate(weight.flatten(-2).flatten(0, 1), spec.flatten(2, 3).flatten(0, 1))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-30)
    assert all(part.isfinite().all() and (part != 0).any() for part in got)
    spec = spec.where(spec.abs() < 1e29, torch.zeros(()))  # whose sums would lose everything else
    maps = torch.empty(2, 3, 4, 4)  # that it is of
    for function, args in ((spectrum.rotate_phase, (spec, strength)), (spectrum.modulate_phasor, (weight, spec))):
        got, expected = function(*args, maps, exportable=True), function(*args, maps)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
        assert got.isfinite().all() and (got != 0).any()


@torch.no_grad()
def test_phasor_has_the_phase_and_length_one():
    spec = some_spectrum(2, 3, 4, 3).double()
    unit = spectrum.phasor(spec)
    torch.testing.assert_close(unit.norm(dim=-1), torch.ones(spec.shape[:-1], dtype=torch.float64))
    torch.testing.assert_close(unit * spectrum.amplitude(spec).unsqueeze(-1), spec, rtol=1e-12, atol=0)
    assert torch.equal(unit.view(-1, 2)[:2], torch.tensor([[1., 0.], [1., 0.]], dtype=torch.float64))


def modules(exportable: bool):
    with set_exportable(exportable):
        torch.manual_seed(0)
        return AmplitudeGuidedPhase(4, init='paper'), AmplitudeNuancesMining(4, init='paper')


def test_gradients_are_those_of_the_fft_and_finite_on_dead_channels():
    x = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(1))
    x[:, 1] = 0
    results = []
    for exportable in (False, True):
        agp, anm = modules(exportable)
        images = x.clone().requires_grad_()
        out = torch.cat([agp(images), *anm(images)], dim=1)
        (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
        grads = [images.grad, *(p.grad for module in (agp, anm) for p in module.parameters())]
        assert all(grad.isfinite().all() for grad in grads)
        results.append([out.detach(), *grads])
    for plain, own in zip(*results, strict=True):
        torch.testing.assert_close(own, plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_bins_on_the_negative_axis_are_turned_the_same_way(dtype):
    # each map has one active pixel, so that many bins are real and negative, with rounding for an imaginary part
    maps = torch.eye(48, dtype=dtype).view(1, 48, 8, 6) * 3
    strength = torch.full((1, 48), 0.5, dtype=dtype)
    with torch.no_grad():
        turned = [
            spectrum.rotate_phase(spectrum.rfft2(maps, form), strength, maps, form)
            for form in (False, True)]
        noise = torch.where(torch.rand(maps.shape) < 0.5, -1e-7, 1e-7).to(dtype)
        other = spectrum.rotate_phase(spectrum.rfft2(maps + noise), strength, maps)
    torch.testing.assert_close(turned[1], turned[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(other, turned[0], rtol=0, atol=1e-5)


def test_no_autocast_around_the_matrix_products():
    x = torch.randn(2, 3, 6, 5)
    expected = spectrum.irfft2(spectrum.rfft2(x), 5)
    with torch.autocast('cpu', torch.bfloat16):
        got = spectrum.irfft2(spectrum.rfft2(x, exportable=True), 5, exportable=True)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
