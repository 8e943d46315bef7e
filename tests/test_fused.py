import warnings
from typing import Callable, Tuple

import pytest
import torch

from fdnm_timm import fused as fused_module
from fdnm_timm.fused import compile_mode, compiler_available, fused, in_blocks
from fdnm_timm.layers import AmplitudeGuidedPhase, AmplitudeNuancesMining
from fdnm_timm.spectrum import _functions
from fdnm_timm.spectrum._pointwise import rotate_backward

FORMS = (
    '_amplitude_backward_form', '_rotate_form', '_rotate_backward_form', '_modulate_form', '_modulate_backward_form')


def double(x: torch.Tensor) -> Tuple[torch.Tensor]:
    return (2 * x,)


def caller(form: Callable) -> Callable:
    """Run what `fused` chooses on the tensors that it chose for."""
    return lambda *tensors: form(*tensors)(*tensors)


class Compiler:
    """A backend for torch.compile that runs what it is given, and counts how often it is asked."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, example_inputs):
        self.graphs += 1
        return graph.forward


@pytest.fixture()
def compiler(monkeypatch) -> Compiler:
    """torch.compile with a backend that needs no compiler of the machine."""
    torch._dynamo.reset()
    backend, real = Compiler(), torch.compile
    monkeypatch.setattr(torch, 'compile', lambda function, **kwargs: real(function, backend=backend, **kwargs))
    monkeypatch.setattr(fused_module, 'compiler_available', lambda device_type: True)
    return backend


@torch.no_grad()
def test_compiles_once_for_all_sizes(compiler):
    call = caller(fused(double))
    with compile_mode('always'):
        for size in ((3, 4), (5, 7), (2, 9)):
            x = torch.randn(size)
            assert torch.equal(call(x)[0], 2 * x)
            with torch.autocast('cpu', torch.bfloat16):
                assert torch.equal(call(x.requires_grad_())[0], 2 * x)
    assert compiler.graphs == 1


@torch.no_grad()
def test_when_it_compiles(compiler, monkeypatch):
    call, large = caller(fused(double)), torch.randn(6)
    for mode in ('never', 'auto'):  # 'auto' compiles large tensors on GPUs alone
        with compile_mode(mode):
            call(large)
    with compile_mode('always'):
        with torch.enable_grad():  # a backward pass that is differentiated again
            assert call(large.clone().requires_grad_())[0].requires_grad
        torch.jit.trace(lambda x: call(x)[0], large, check_trace=False)
        assert compiler.graphs == 0
        call(large)
        assert compiler.graphs == 1
        monkeypatch.setattr(fused_module, 'compiler_available', lambda device_type: False)
        other = caller(fused(double))
        torch._dynamo.reset()
        other(large)
        assert compiler.graphs == 1


@torch.no_grad()
def test_a_compiler_that_fails_warns_once(monkeypatch):
    def broken(graph, example_inputs):
        raise RuntimeError('cc1plus: no space left')

    torch._dynamo.reset()
    real = torch.compile
    monkeypatch.setattr(torch, 'compile', lambda function, **kwargs: real(function, backend=broken, **kwargs))
    monkeypatch.setattr(fused_module, 'compiler_available', lambda device_type: True)
    call, x = caller(fused(double)), torch.randn(4)
    with compile_mode('always'):
        with pytest.warns(UserWarning, match='double could not be compiled.*FDNM_COMPILE=never'):
            assert torch.equal(call(x)[0], 2 * x)
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            assert torch.equal(call(x)[0], 2 * x)


@torch.no_grad()
@pytest.mark.parametrize('rows', [1, 4, 7])
@pytest.mark.parametrize('channels_last', [False, True])
def test_in_blocks(monkeypatch, rows, channels_last):
    monkeypatch.setattr(fused_module, '_BLOCK', 3 * 10)
    monkeypatch.setattr(fused_module, '_CHANNELS', 2)
    sizes = []

    def function(x: torch.Tensor, y: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        assert x.is_contiguous() or x.permute(1, 2, 0).is_contiguous()  # no gaps
        sizes.append(len(x))
        return x.sin() * y[:, None, None], x.sum(dim=(1, 2))

    x, y = torch.randn(2, rows, 5, 2), torch.randn(2, rows)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    got = in_blocks(function, (x, y), 2, lambda: (torch.empty_like(x), torch.empty_like(y)))
    torch.testing.assert_close(got, (x.sin() * y[..., None, None], x.sum(dim=(2, 3))))
    assert got[0].stride() == x.stride()
    by_map, by_image = {1: [2], 4: [3, 3, 2], 7: [3, 3, 3, 3, 2]}, {1: [1, 1], 4: [3, 1] * 2, 7: [3, 3, 1] * 2}
    assert sizes == (by_image if channels_last and rows > 1 else by_map)[rows]


@pytest.mark.parametrize('size', [(6, 5), (5, 8)], ids=str)
def test_modules_in_blocks_give_the_same_numbers(monkeypatch, size):
    x = torch.randn(3, 5, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for module in (AmplitudeGuidedPhase(5, init='paper').double(), AmplitudeNuancesMining(5, init='paper').double()):
        expected = gradients(module, x)
        for memory_format in (torch.contiguous_format, torch.channels_last):
            with monkeypatch.context() as patch:
                patch.setattr(fused_module, '_BLOCK', 50)
                patch.setattr(fused_module, '_CHANNELS', 2)
                got = gradients(module, x.contiguous(memory_format=memory_format))
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-10)


def test_modes():
    with pytest.raises(ValueError, match="'sometimes'.*'auto', 'always', 'never'"), compile_mode('sometimes'):
        pass
    assert not compiler_available('meta')


def gradients(module: torch.nn.Module, x: torch.Tensor) -> list:
    x = x.clone().requires_grad_()
    module.zero_grad()
    out = module(x)
    out = torch.stack(out) if isinstance(out, tuple) else out
    (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
    return [out.detach(), x.grad, *(p.grad for p in module.parameters())]


def assert_same_numbers(x: torch.Tensor) -> None:
    """Eager and compiled, in float64 and float32; one channel is dead, so that amplitudes of 0 occur."""
    for cls in (AmplitudeGuidedPhase, AmplitudeNuancesMining):
        for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
            module = cls(x.shape[1], init='paper').to(dtype).eval()
            with compile_mode('never'):
                expected = gradients(module, x.to(dtype))
            with compile_mode('always'), warnings.catch_warnings():
                warnings.filterwarnings('error', message='.*could not be compiled')
                got = gradients(module, x.to(dtype))
            torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture()
def x() -> torch.Tensor:
    x = torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 1] = 0
    return x


def test_modules_give_the_same_numbers(compiler, monkeypatch, x):
    for name in FORMS:
        monkeypatch.setattr(_functions, name, fused(getattr(_functions, name).__wrapped__))
    assert_same_numbers(x)
    assert compiler.graphs == 2 * len(FORMS) + 2  # one a type; the amplitude's gradient is AGP's mean or ANM's bins


@pytest.mark.skipif(not compiler_available('cpu'), reason='no C++ compiler')
def test_inductor_gives_the_same_numbers(x):
    torch._dynamo.reset()
    spec = torch.view_as_real(torch.fft.rfft2(x)).flatten(2, 3).flatten(0, 1)
    strength = torch.linspace(0.1, 0.9, 6, dtype=torch.float64).unsqueeze(1)
    args = spec, strength, spec.flip(0)
    with torch.no_grad(), compile_mode('always'), warnings.catch_warnings():
        warnings.filterwarnings('error', message='.*could not be compiled')
        got = caller(fused(rotate_backward))(*args)
    torch.testing.assert_close(got, rotate_backward(*args), rtol=0, atol=1e-9)
