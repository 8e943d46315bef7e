import copy
import math
import warnings

import pytest
import torch
from timm.layers import set_exportable
from torch import nn

from fdnm_timm import fused
from fdnm_timm.layers import AmplitudeGuidedPhase, AmplitudeNuancesMining
from fdnm_timm.spectrum import _functions, _transforms
from tests import reference

SIZES = [(6, 4), (7, 5), (8, 3), (5, 1), (1, 6), (1, 1), (12, 6), (4, 7)]
CHANNELS = 3


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def maps(batch: int, channels: int, height: int, width: int, seed: int) -> torch.Tensor:
    """Generic float64 maps: no bin is close to zero, and none that is complex lies at the cut of the phase.

    At both places the functions under test are not differentiable, or not continuous, and rounding decides.
    """
    g = generator(seed)
    own = {(u, v) for u in range(height) for v in range(width) if (-u) % height == u and (-v) % width == v}
    cut = torch.tensor([[(u, v) not in own for v in range(width)] for u in range(height)])
    x = torch.empty(batch, channels, height, width, dtype=torch.float64)
    for b in range(batch):
        for c in range(channels):
            while True:
                image = torch.randn(height, width, dtype=torch.float64, generator=g)
                amplitude, phase = reference.polar(image)
                clear = (phase.abs() < math.pi - 5e-3) | ~cut
                if amplitude.min() > 0.05 * amplitude.mean() and amplitude.min() > 1e-2 and clear.all():
                    break
            x[b, c] = image
    return x


@torch.no_grad()
def randomise(module: nn.Module, seed: int, scale: float = 0.5) -> nn.Module:
    """Every parameter and running statistic away from its initial value."""
    g = generator(seed)
    for parameter in module.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=g, dtype=torch.float64) * scale)
    for name, buffer in module.named_buffers():
        if name.endswith('running_mean'):
            buffer.copy_(torch.randn(buffer.shape, generator=g, dtype=torch.float64))
        elif name.endswith('running_var'):
            buffer.copy_(torch.rand(buffer.shape, generator=g, dtype=torch.float64) + 0.5)
    return module


def make_agp(channels: int = CHANNELS, seed: int = 0, dtype=torch.float64, **kwargs) -> AmplitudeGuidedPhase:
    return randomise(AmplitudeGuidedPhase(channels, **kwargs).to(dtype), seed)


def make_anm(channels: int = CHANNELS, seed: int = 0, dtype=torch.float64, **kwargs) -> AmplitudeNuancesMining:
    return randomise(AmplitudeNuancesMining(channels, **kwargs).to(dtype), seed)


def agp_reference(module: AmplitudeGuidedPhase, x: torch.Tensor) -> torch.Tensor:
    weight = module.guide.weight.detach().double()
    return reference.agp(x.double(), weight.reshape(x.shape[1], x.shape[1]), module.guide.bias.detach().double())


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a.detach().double(), b.detach().double()
    return float((a - b).norm() / b.norm())


# ------------------------------------------------------------------------------- the references, on hand-made cases

def test_reference_agp_shifts_a_cosine():
    # one frequency, one phase: cos(t + phi) becomes cos(t + (1 + S) phi); S = sigmoid(w mean(A) + b) by hand
    phi, width = 0.7, 8
    t = 2 * math.pi * torch.arange(width, dtype=torch.float64) / width
    x = torch.cos(t + phi)[None, None, None]
    # A is sqrt(8)/2 at v = 1 and 0 at the 4 other columns of the half spectrum
    gate = 1 / (1 + math.exp(-(0.6 * math.sqrt(8) / 2 / 5 - 0.3)))
    y = reference.agp(x, *(torch.tensor(v, dtype=torch.float64) for v in ([[0.6]], [-0.3])))
    torch.testing.assert_close(y[0, 0, 0], torch.cos(t + (1 + gate) * phi), rtol=0, atol=1e-12)


def test_reference_agp_on_one_pixel():
    # one real bin: 3 has phase 0 and stays, -2 has phase pi and becomes 2 cos(1.5 pi) = 0 at S = 0.5
    zero = torch.zeros(1, 1, dtype=torch.float64)
    x = torch.tensor([3.0, -2.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    y = reference.agp(x, zero, zero[0])
    torch.testing.assert_close(y.flatten(), torch.tensor([3.0, 0.0]).double(), rtol=0, atol=1e-12)


def test_reference_anm_on_two_pixels():
    # (a, b) -> spectrum ((a+b), (a-b)) / sqrt(2), both real; instance norm of two numbers is +-d / sqrt(d^2 + eps)
    a, b, w, gamma, beta, eps = 3.0, 1.0, 1.5, 0.4, 0.1, 1e-5
    amplitudes = [(a + b) / math.sqrt(2), (a - b) / math.sqrt(2)]
    d = w * (amplitudes[0] - amplitudes[1]) / 2
    unit = d / math.sqrt(d * d + eps)
    x = torch.tensor([a, b], dtype=torch.float64).reshape(1, 1, 1, 2)
    args = [torch.tensor(value, dtype=torch.float64) for value in ([[w]], [7.0], [gamma], [beta])]
    for residual in (True, False):
        new = [residual * amplitudes[0] + gamma * unit + beta, residual * amplitudes[1] - gamma * unit + beta]
        expected = torch.tensor([new[0] + new[1], new[0] - new[1]], dtype=torch.float64) / math.sqrt(2)
        y = reference.anm_branch(x, *args, eps, residual)
        torch.testing.assert_close(y.flatten(), expected, rtol=0, atol=1e-12)


def test_reference_hermitian_extension_restores_the_spectrum():
    for height, width in SIZES:
        amplitude, phase = reference.polar(maps(1, 1, height, width, 0)[0, 0])
        full = reference.hermitian_extension(amplitude[:, :width // 2 + 1], width)
        torch.testing.assert_close(full, amplitude, rtol=0, atol=1e-12)
        torch.testing.assert_close(reference.from_polar(full, phase), maps(1, 1, height, width, 0)[0, 0])


# ------------------------------------------------------------------------------- agreement with the equations

@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize('init', ['identity', 'paper'])
def test_agp_equals_reference(size, init):
    x = maps(2, CHANNELS, *size, seed=1)
    for module in (make_agp(init=init), AmplitudeGuidedPhase(CHANNELS, init=init).double()):
        for training in (True, False):
            y = module.train(training)(x)
            assert y.dtype == torch.float64 and y.shape == x.shape
            torch.testing.assert_close(y, agp_reference(module, x), rtol=0, atol=1e-9)


@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize('residual', [True, False])
def test_anm_equals_reference(size, residual):
    x = maps(2, CHANNELS, *size, seed=2)
    module = make_anm(residual=residual)
    for training in (True, False):
        module.train(training)
        expected = reference.anm(module, x, residual)
        got = module(x)
        assert isinstance(got, tuple) and len(got) == 2
        for g, e in zip(got, expected, strict=True):
            assert g.dtype == torch.float64 and g.shape == x.shape
            torch.testing.assert_close(g, e, rtol=0, atol=1e-9)
    assert (got[0] - got[1]).abs().max() > 1e-3  # the branches have their own parameters


@pytest.mark.parametrize('residual', [True, False])
def test_fresh_paper_anm_equals_reference(residual):
    x = maps(2, CHANNELS, 6, 4, seed=2)
    module = AmplitudeNuancesMining(CHANNELS, residual=residual, init='paper').double()
    for g, e in zip(module(x), reference.anm(module, x, residual), strict=True):
        torch.testing.assert_close(g, e, rtol=0, atol=1e-9)


@pytest.mark.parametrize('size', SIZES, ids=str)
def test_float32_equals_reference(size):
    x = maps(2, CHANNELS, *size, seed=3)
    agp = make_agp(dtype=torch.float32)
    y = agp(x.float())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), agp_reference(agp, x.float()), rtol=1e-4, atol=1e-4)
    anm = make_anm(dtype=torch.float32)
    for training in (True, False):
        anm.train(training)
        expected = reference.anm(anm, x.float().double())
        for g, e in zip(anm(x.float()), expected, strict=True):
            assert g.dtype == torch.float32
            torch.testing.assert_close(g.double(), e, rtol=1e-4, atol=1e-4)


def test_anm_zero_map_is_an_impulse():
    # A = 0 everywhere, exp(j theta) = 1: the conv is constant, IN leaves its bias, and a flat spectrum is an impulse
    x = torch.zeros(2, CHANNELS, 4, 6, dtype=torch.float64)
    anm = make_anm().eval()
    for out, branch in zip(anm(x), anm.branches, strict=True):
        impulse = torch.zeros_like(x)
        impulse[:, :, 0, 0] = branch.norm.bias.detach() * math.sqrt(4 * 6)
        torch.testing.assert_close(out, anm.bn(impulse), rtol=0, atol=1e-9)


def test_anm_branches_share_one_batch_norm_update():
    x = maps(3, CHANNELS, 5, 4, seed=4)
    anm = make_anm()
    anm.bn.reset_running_stats()
    pre = torch.cat([
        reference.anm_branch(
            x,
            branch.conv.weight.detach().reshape(CHANNELS, CHANNELS),
            None if branch.conv.bias is None else branch.conv.bias.detach(),
            branch.norm.weight.detach(),
            branch.norm.bias.detach(),
            branch.norm.eps,
        )
        for branch in anm.branches
    ])
    anm.train()(x)
    assert int(anm.bn.num_batches_tracked) == 1
    m = anm.bn.momentum
    flat = pre.transpose(0, 1).flatten(1)
    torch.testing.assert_close(anm.bn.running_mean, m * flat.mean(1), rtol=0, atol=1e-9)
    torch.testing.assert_close(anm.bn.running_var, 1 - m + m * flat.var(1, unbiased=True), rtol=0, atol=1e-9)


def test_public_attributes():
    agp, anm = AmplitudeGuidedPhase(4), AmplitudeNuancesMining(4)
    assert isinstance(agp.guide, (nn.Conv2d, nn.Linear))
    assert agp.guide.weight.numel() == 16 and agp.guide.bias.shape == (4,)
    assert len(anm.branches) == 2 and isinstance(anm.bn, nn.BatchNorm2d)
    for branch in anm.branches:
        assert isinstance(branch.conv, nn.Module) and branch.conv.weight.numel() == 16
        assert isinstance(branch.norm, nn.Module) and branch.norm.weight.shape == branch.norm.bias.shape == (4,)


# ------------------------------------------------------------------------------- initialisation

def test_fresh_agp_is_almost_the_identity():
    for seed in range(3):
        for draw, size in ((torch.randn, (12, 6)), (torch.rand, (7, 5))):
            x = draw(4, 8, *size, generator=generator(seed))
            y = AmplitudeGuidedPhase(8)(x)
            assert not torch.equal(y, x)
            assert 1e-4 < relative(y, x) <= 0.05
    x = torch.randn(4, 8, 12, 6, generator=generator(0))
    assert relative(AmplitudeGuidedPhase(8, init='paper')(x), x) > 0.3  # S = 0.5: phases turn by up to 90 degrees


def test_fresh_anm_is_the_batch_norm():
    for dtype, atol in ((torch.float32, 1e-5), (torch.float64, 1e-9)):
        for size in ((12, 6), (7, 5), (1, 1)):
            x = torch.randn(4, 8, *size, generator=generator(0), dtype=dtype) * 2 + 1
            f1, f2 = AmplitudeNuancesMining(8).to(dtype).train()(x)
            expected = nn.BatchNorm2d(8).to(dtype).train()(x)
            torch.testing.assert_close(f1, expected, rtol=0, atol=atol)
            torch.testing.assert_close(f2, expected, rtol=0, atol=atol)


def test_fresh_paper_anm_is_not_the_batch_norm():
    x = torch.randn(4, 8, 12, 6, generator=generator(0))
    f1, f2 = AmplitudeNuancesMining(8, init='paper')(x)
    assert relative(f1, nn.BatchNorm2d(8)(x)) > 0.1
    assert relative(f1, f2) > 1e-3


def test_fresh_modules_learn():
    # the identity must not be a dead end: every parameter that can matter has a gradient at the first or second step
    x = torch.randn(4, 8, 6, 4, generator=generator(0))
    agp = AmplitudeGuidedPhase(8)
    (agp(x) * torch.randn(x.shape, generator=generator(1))).sum().backward()
    assert agp.guide.weight.grad.abs().max() > 0 and agp.guide.bias.grad.abs().max() > 0
    anm = AmplitudeNuancesMining(8)
    out = torch.stack(anm(x))
    (out * torch.randn(out.shape, generator=generator(1))).sum().backward()
    for branch in anm.branches:
        assert branch.norm.weight.grad.abs().max() > 0
    assert all(p.grad is not None for p in anm.parameters())


# ------------------------------------------------------------------------------- gradients

def check_gradients(module: nn.Module, x: torch.Tensor):
    names = [name for name, _ in module.named_parameters()]

    def call(x, *values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))

    values = [p.detach().clone().requires_grad_() for p in module.parameters()]
    assert torch.autograd.gradcheck(call, (x.clone().requires_grad_(), *values), eps=1e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize('size', [(4, 3), (3, 4), (1, 4), (5, 1), (1, 1)], ids=str)
def test_agp_gradcheck(size):
    check_gradients(make_agp(2, seed=5), maps(2, 2, *size, seed=5))


def test_gradients_can_be_differentiated():
    for module in (make_agp(1, seed=5), make_anm(1, seed=6).eval()):
        x = maps(1, 1, 3, 4, seed=5).requires_grad_()
        assert torch.autograd.gradgradcheck(lambda x, m=module: m(x), (x,), eps=1e-6, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize('residual', [True, False])
@pytest.mark.parametrize('size', [(4, 3), (3, 4), (1, 4), (1, 1)], ids=str)
def test_anm_gradcheck(size, residual):
    module = make_anm(2, seed=6, residual=residual)
    x = maps(2, 2, *size, seed=6)
    check_gradients(module.eval(), x)
    check_gradients(module.train(), x)


def awkward(kind: str, dtype: torch.dtype, size=(6, 5)) -> torch.Tensor:
    x = torch.randn(2, 4, *size, generator=generator(7), dtype=torch.float64)
    if kind == 'dead channel':
        x[:, 1] = 0
    elif kind == 'dead channel of one image':
        x[0, 2] = 0
    elif kind == 'zero':
        x = torch.zeros_like(x)
    elif kind == 'relu':
        x = x.clamp(min=0)
        x[:, 0] = 0
    elif kind == 'constant':
        x = torch.ones_like(x) * torch.tensor([0.3, -2.0, 1.0, 5.0], dtype=torch.float64).reshape(4, 1, 1)
    elif kind == 'almost constant':
        x = 1 + 1e-7 * x
    elif kind == 'one pixel':
        x = torch.zeros_like(x)
        x[:, :, 2, 1] = 1.5
        x[:, 3] = 0
        x[:, 3, 0, 0] = -1
    elif kind == 'stripes':
        x = torch.zeros_like(x)
        x[..., ::2] = -1.0  # periodic: most bins vanish, the rest are real or close to it
    elif kind == 'tiny':
        x = x * 1e-20
    elif kind == 'huge':
        x = x * 1e15
    elif kind == 'tiny beside huge':
        x[:, 0] *= 1e-20
        x[:, 1] *= 1e15
    else:
        assert kind == 'random'
    return x.to(dtype)


KINDS = [
    'dead channel', 'dead channel of one image', 'zero', 'relu', 'constant', 'almost constant', 'one pixel', 'stripes',
    'tiny', 'huge', 'tiny beside huge', 'random',
]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize('kind', KINDS)
def test_awkward_maps_have_finite_gradients(kind, dtype):
    for size in ((6, 5), (4, 4), (1, 4), (1, 1)):
        if size[0] == 1 and kind == 'one pixel':
            continue
        modules = [
            AmplitudeGuidedPhase(4), AmplitudeGuidedPhase(4, init='paper'), make_agp(4),
            AmplitudeNuancesMining(4), AmplitudeNuancesMining(4, init='paper'), make_anm(4),
            make_anm(4).eval(), make_anm(4, residual=False), AmplitudeNuancesMining(4, residual=False, init='paper'),
        ]
        for module in modules:
            module.to(dtype)
            x = awkward(kind, dtype, size).requires_grad_()
            out = module(x)
            out = torch.stack(out) if isinstance(out, tuple) else out
            assert out.isfinite().all(), (module, size)
            (out * torch.randn(out.shape, generator=generator(8), dtype=dtype)).sum().backward()
            assert x.grad.isfinite().all(), (module, size)
            for name, parameter in module.named_parameters():
                assert parameter.grad is not None and parameter.grad.isfinite().all(), (module, size, name)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize('kind', KINDS)
def test_agp_gradient_is_bounded(kind, dtype):
    """||dL/dx|| <= (1 + max S) ||dL/dy|| when S does not depend on x (guide weight 0).

    The orthonormal fft2 is an isometry from real maps onto Hermitian spectra, and its inverse with the real part
    taken (here: the imaginary part of the self-conjugate bins dropped) is a contraction. Between the two stands, bin
    by bin, r e^{j theta} -> r e^{j (1 + S) theta}: in the orthonormal radial and tangential directions its Jacobian
    is diag(1, 1 + S), at every amplitude. So the whole Jacobian has the norm 1 + S at most. The half spectrum changes
    nothing: with the weights 1 (columns 0 and Nyquist) and 2 (the others) it is the same isometry.
    """
    for size in ((6, 5), (4, 4), (1, 4), (1, 1)):
        if size[0] == 1 and kind == 'one pixel':
            continue
        for bias in (-4.0, 0.0, 3.0):
            module = AmplitudeGuidedPhase(4).to(dtype)
            with torch.no_grad():
                module.guide.weight.zero_()
                module.guide.bias.fill_(bias)
            x = awkward(kind, dtype, size).requires_grad_()
            for seed in range(3):
                g = torch.randn(x.shape, generator=generator(seed), dtype=dtype)
                grad, = torch.autograd.grad((module(x) * g).sum(), x)
                gate = 1 / (1 + math.exp(-bias))
                # per map: no channel, dead or alive, may borrow from another
                bound = (1 + gate) * g.double().flatten(2).norm(dim=2) * (1 + 1e-5)
                assert (grad.double().flatten(2).norm(dim=2) <= bound).all(), (size, bias)


@pytest.mark.parametrize('kind', [k for k in KINDS if 'huge' not in k])
def test_agp_gradient_is_bounded_with_its_guide(kind):
    """The guide's path adds at most pi/4 ||W|| max_c ||x_c|| / sqrt(N) times ||dL/dy||.

    dL/dS_c = <dL/dy_c, d y_c / dS_c> and ||d y_c / dS_c|| = ||j theta X e^{j S theta}|| <= pi ||x_c||;
    dS/dlogit = S (1 - S) <= 1/4; the logits are W mean(A), and |d mean(A_c)| <= (1/N) sum over the half spectrum of
    |dX| <= ||dx_c|| / sqrt(N), N the number of bins of the half spectrum.
    """
    for size in ((6, 5), (4, 4)):
        module = make_agp(4, seed=9)
        weight = module.guide.weight.detach().reshape(4, 4)
        x = awkward(kind, torch.float64, size).requires_grad_()
        g = torch.randn(x.shape, generator=generator(1), dtype=torch.float64)
        grad, = torch.autograd.grad((module(x) * g).sum(), x)
        longest = x.detach().flatten(2).norm(dim=2).max()
        bins = size[0] * (size[1] // 2 + 1)
        guide = math.pi / 4 * torch.linalg.matrix_norm(weight, 2) * longest / math.sqrt(bins)
        assert grad.norm() <= (2 + guide) * g.norm()
        assert size != (4, 4) or kind != 'random' or grad.norm() <= 4 * g.norm()


@pytest.mark.parametrize('noise', [1e-3, 1e-7, 1e-11])
def test_anm_gradient_is_clamped(noise):
    """1/A counts as 1/(1e-3 mean A) at most, so an almost constant map does not blow the gradient up.

    With the instance norms' weights 0 and biases b, f_k = x + ifft2(b e^{j theta}) up to the eval-mode batch norm, its
    factor below 1. The Jacobian of b e^{j theta} is |b| / A, tangentially; both branches add.
    """
    anm = AmplitudeNuancesMining(2).double().eval()
    with torch.no_grad():
        for branch in anm.branches:
            branch.norm.weight.zero_()
            branch.norm.bias.fill_(0.7)
    x = 1 + noise * maps(2, 2, 6, 5, seed=18)
    spectrum = torch.fft.rfft2(x, norm='ortho').abs()
    mean = spectrum.mean(dim=(2, 3)).min()
    assert noise > 1e-4 or spectrum.min() < 1e-4 * mean  # the clamp has something to do
    x.requires_grad_()
    for seed in range(3):
        g = torch.randn(2, *x.shape, generator=generator(seed), dtype=torch.float64)
        grad, = torch.autograd.grad((torch.stack(anm(x)) * g).sum(), x)
        assert grad.norm() <= (1 + 0.7 / (1e-3 * mean)) * g.flatten(1).norm(dim=1).sum()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize('scale', [1e-30, 1e-20, 1e-6, 1e6, 1e15, 1e25])
def test_agp_is_homogeneous(scale, dtype):
    # at a constant S, y(c x) = c y(x), and the gradient does not depend on the scale at all, also where the squares
    # of the amplitudes leave float32's range
    module = make_agp(dtype=dtype)
    with torch.no_grad():
        module.guide.weight.zero_()
    x = maps(2, CHANNELS, 6, 5, seed=10).to(dtype)
    g = torch.randn(x.shape, generator=generator(0), dtype=dtype)

    def run(x):
        x = x.clone().requires_grad_()
        y = module(x)
        return y.detach(), torch.autograd.grad(y, x, g)[0]

    y, grad = run(x)
    y_scaled, grad_scaled = run(x * scale)
    tol = 1e-4 if dtype == torch.float32 else 1e-9
    assert relative(y_scaled / scale, y) < tol
    assert relative(grad_scaled, grad) < tol


def gradients_of(module: nn.Module, x: torch.Tensor) -> list:
    """Outputs, and the gradients of the input and the parameters."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    module.zero_grad()
    out = module(x)
    outs = out if isinstance(out, tuple) else (out,)
    sum((one * torch.randn(one.shape, generator=generator(9), dtype=one.dtype)).sum() for one in outs).backward()
    return [*(one.detach() for one in outs), x.grad, *(p.grad for p in module.parameters())]


# ------------------------------------------------------------------------------- other people's networks

def both(seed: int = 0, dtype=torch.float32):
    return make_agp(seed=seed, dtype=dtype), make_anm(seed=seed, dtype=dtype)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_half_types_keep_their_type(dtype):
    x = maps(2, CHANNELS, 6, 4, seed=11)
    for module in both():
        module.eval()
        expected = module(x.float())
        half = copy.deepcopy(module).to(dtype)
        got = half(x.to(dtype).requires_grad_())
        expected, got = (t if isinstance(t, tuple) else (t,) for t in (expected, got))
        for g, e in zip(got, expected, strict=True):
            assert g.dtype == dtype
            assert relative(g.float(), e) < 0.03
        torch.stack(got).float().sum().backward()
        assert all(p.grad.dtype == dtype and p.grad.isfinite().all() for p in half.parameters())


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_autocast(dtype):
    x = maps(2, CHANNELS, 6, 4, seed=11).float()
    for module in both():
        for training in (True, False):
            module.train(training)
            expected = copy.deepcopy(module)(x)
            leaf = x.clone().requires_grad_()
            with torch.autocast('cpu', dtype):
                got = module(leaf)
            expected, got = (t if isinstance(t, tuple) else (t,) for t in (expected, got))
            for g, e in zip(got, expected, strict=True):
                assert g.isfinite().all()
                assert relative(g.float(), e) < 0.03
            torch.stack(got).float().square().sum().backward()
            assert leaf.grad.isfinite().all()


def test_inside_a_sequential():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), AmplitudeGuidedPhase(6), nn.MaxPool2d(2),
                        nn.Conv2d(6, 4, 1), AmplitudeNuancesMining(4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    x = torch.randn(4, 3, 9, 8, generator=generator(0))
    target = torch.randn(2, 4, 4, 4, 4, generator=generator(1))
    losses = []
    for _ in range(5):
        loss = (torch.stack(net(x)) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(math.isfinite(value) for value in losses) and losses[-1] < losses[0]


def test_script_equals_eager():
    for module in both():
        module.eval()
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch.jit announces its retirement
            scripted = torch.jit.script(module)
        for size in ((6, 4), (7, 5), (1, 1)):
            x = maps(2, CHANNELS, *size, seed=12).float()
            for _ in range(3):  # the profiling executor changes its code after the first calls
                torch.testing.assert_close(scripted(x), module(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('size', SIZES, ids=str)
def test_exportable_form_equals_reference(size):
    # the matrix products that stand for the FFT under timm's exportable flag
    x = maps(2, CHANNELS, *size, seed=17)
    with set_exportable(True):
        agp, anm = both(dtype=torch.float64)
        got = [agp(x), *anm(x)]
        agp32, anm32 = both()
        single = [agp32(x.float()), *anm32(x.float())]
    expected = [agp_reference(agp, x), *reference.anm(anm, x)]
    for g, s, e in zip(got, single, expected, strict=True):
        torch.testing.assert_close(g, e, rtol=0, atol=1e-9)
        torch.testing.assert_close(s.double(), e, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.detach().contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('size', SIZES, ids=str)
def test_channels_last(size, monkeypatch):
    x = maps(2, CHANNELS, *size, seed=13)
    for module in both(dtype=torch.float64):
        expected = gradients_of(copy.deepcopy(module), x)
        for small in (_transforms._SMALL, 0):  # by matrix products, and by FFTs
            monkeypatch.setattr(_transforms, '_SMALL', small)
            got = gradients_of(copy.deepcopy(module).to(memory_format=torch.channels_last), channels_last(x))
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-9)
        for watched in (False, True):  # as a tracer does, and as on a GPU: without blocks
            if watched:
                monkeypatch.setattr(fused, 'observed', lambda tensors: True)
                monkeypatch.setattr(_functions, 'observed', lambda tensors: True)
            out = module(channels_last(x))
            for one in out if isinstance(out, tuple) else (out,):
                assert one.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(out, tuple(expected[:2]) if isinstance(out, tuple) else expected[0])
        monkeypatch.undo()


@pytest.mark.parametrize('kind', KINDS)
def test_channels_last_on_awkward_maps(kind):
    # dead channels stay exactly dead, and nothing else becomes worse than rounding
    x = awkward(kind, torch.float64)
    for module in (make_agp(4), make_anm(4)):
        expected, got = gradients_of(module, x), gradients_of(module, channels_last(x))
        assert all(t.isfinite().all() for t in got)
        if kind in ('dead channel', 'dead channel of one image', 'zero', 'random', 'relu', 'tiny', 'huge'):
            torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-9)


def test_channels_last_gradients_can_be_differentiated():
    for module in (make_agp(2, seed=5), make_anm(2, seed=6).eval()):
        x = channels_last(maps(1, 2, 3, 4, seed=5)).requires_grad_()
        assert torch.autograd.gradcheck(lambda x, m=module: m(x), (x,), eps=1e-6, atol=1e-6, rtol=1e-4)
        assert torch.autograd.gradgradcheck(lambda x, m=module: m(x), (x,), eps=1e-6, atol=1e-5, rtol=1e-3)


def test_products_are_not_rounded():
    # what a user allows for the network's own products would be too coarse for a transform, and so would autocast
    x = maps(2, CHANNELS, 6, 4, seed=13).float()
    for module in both():
        expected = gradients_of(module, channels_last(x))
        before = torch.get_float32_matmul_precision()
        try:
            torch.set_float32_matmul_precision('medium')
            got = gradients_of(module, channels_last(x))
        finally:
            torch.set_float32_matmul_precision(before)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_autocast_in_channels_last():
    x = maps(2, CHANNELS, 6, 4, seed=11).float()
    agp = make_agp(dtype=torch.float32)
    with torch.no_grad():
        agp.guide.weight.zero_()  # so that what is left is the transforms
    expected = agp(channels_last(x))
    with torch.autocast('cpu', torch.bfloat16):
        got = agp(channels_last(x))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, rtol=1e-2, atol=1e-2)


def test_input_is_left_alone():
    x = maps(2, CHANNELS, 6, 4, seed=13)
    before = x.clone()
    for module in both(dtype=torch.float64):
        module(x)
        assert torch.equal(x, before)


def test_batch_does_not_matter_in_eval():
    x = maps(3, CHANNELS, 6, 4, seed=14)
    for module in both(dtype=torch.float64):
        module.eval()
        whole, single = module(x), module(x[1:2])
        whole, single = (t if isinstance(t, tuple) else (t,) for t in (whole, single))
        for w, s in zip(whole, single, strict=True):
            torch.testing.assert_close(w[1:2], s, rtol=0, atol=1e-12)


def test_one_image_trains():
    for size in ((6, 4), (1, 1)):
        x = maps(1, CHANNELS, *size, seed=15)
        agp, anm = both(dtype=torch.float64)
        torch.testing.assert_close(agp(x), agp_reference(agp, x), rtol=0, atol=1e-9)
        expected = reference.anm(anm, x)
        for g, e in zip(anm(x), expected, strict=True):
            torch.testing.assert_close(g, e, rtol=0, atol=1e-9)


def test_state_dict_round_trip():
    x = maps(2, CHANNELS, 6, 4, seed=16)
    for module, cls in zip(both(dtype=torch.float64), (AmplitudeGuidedPhase, AmplitudeNuancesMining), strict=True):
        module.eval()
        fresh = cls(CHANNELS).double().eval()
        before = fresh(x)
        assert fresh.load_state_dict(module.state_dict(), strict=True)
        expected, got = module(x), fresh(x)
        torch.testing.assert_close(got, expected, rtol=0, atol=0)
        before, got = (torch.stack(t) if isinstance(t, tuple) else t for t in (before, got))
        assert not torch.allclose(before, got)


# ------------------------------------------------------------------------------- errors

@pytest.mark.parametrize('cls', [AmplitudeGuidedPhase, AmplitudeNuancesMining])
@pytest.mark.parametrize('channels', [0, -3])
def test_bad_channels(cls, channels):
    with pytest.raises(ValueError, match=str(channels)):
        cls(channels)


@pytest.mark.parametrize('cls', [AmplitudeGuidedPhase, AmplitudeNuancesMining])
def test_bad_init(cls):
    with pytest.raises(ValueError, match='idenity') as error:
        cls(4, init='idenity')
    assert 'identity' in str(error.value) and 'paper' in str(error.value)


@pytest.mark.parametrize('cls', [AmplitudeGuidedPhase, AmplitudeNuancesMining])
def test_wrong_channel_count(cls):
    module = cls(4)
    with pytest.raises((ValueError, RuntimeError), match='7'):
        module(torch.randn(2, 7, 6, 5))
