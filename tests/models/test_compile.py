"""torch.compile of whole models, and what else the frequency modules owe a fast training run.

A small trunk stands for the backbones: what is compiled here is the method around it.
"""
import copy
from collections import OrderedDict
from typing import Any, Dict, Tuple

import pytest
import torch
from torch import nn

from fdnm_timm.benchmarks.memory import saved_bytes
from fdnm_timm.fused import compiler_available
from fdnm_timm.models._fdnm import FDNM, FDNMOutput

CHS = 4
MODALITY = torch.tensor([0, 1, 1, 0])


def block() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(CHS, CHS, 3, stride=2, padding=1), nn.ReLU())


def make(**kwargs: Any) -> FDNM:
    torch.manual_seed(0)
    info = [dict(num_chs=CHS, reduction=2 ** i, module='') for i in range(3)]
    stages = [nn.Sequential(OrderedDict([('0', block())])) for _ in range(2)]
    return FDNM(
        lambda: nn.Sequential(nn.Conv2d(3, CHS, 3, padding=1), nn.BatchNorm2d(CHS)), nn.Identity(), stages, info,
        num_classes=3, agp_stages=(1, 2), init='paper', num_parts=2, **kwargs)


@pytest.fixture()
def images() -> torch.Tensor:
    return torch.randn(4, 3, 12, 10, generator=torch.Generator().manual_seed(1))


def step(call, model: FDNM, x: torch.Tensor, *args: Any) -> Tuple[torch.Tensor, Dict[str, torch.Tensor]]:
    """Output (metric training: logits and features) and the gradients that it gives."""
    model.zero_grad()
    out = call(x, *args)
    if isinstance(out, FDNMOutput):
        out = torch.cat([t.flatten() for t in out])
    (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
    return out.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same_step(model: FDNM, call, other: FDNM, x: torch.Tensor, *args: Any) -> None:
    got, grads = step(call, model, x, *args)
    expected, expected_grads = step(other, other, x, *args)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    assert grads.keys() == expected_grads.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(grad, expected_grads[name], rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f'{n}: {m}')


@pytest.mark.parametrize('training, modality, backend', [
    (True, 'visible', 'aot_eager'), (True, None, 'eager'), (False, 'infrared', 'eager'), (False, MODALITY, 'eager'),
], ids=['metric training', 'metric training, unknown', 'eval', 'eval, a tensor'])
def test_compiles_without_graph_break(images, training, modality, backend):
    model = make().train(training)
    model.set_metric_training(True)  # changes nothing in eval
    other = copy.deepcopy(model)
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend=backend)  # fullgraph: a break is an error
    assert_same_step(model, compiled, other, images, modality)


def test_the_split_of_the_stems_is_the_one_break(images):
    model = make().train()
    torch._dynamo.reset()
    reasons = torch._dynamo.explain(model)(images, MODALITY).break_reasons
    assert reasons
    for reason in reasons:
        assert any(frame.name == '_split' for frame in reason.user_stack), reason


def test_what_follows_the_stems_is_one_graph(images):
    # a map that goes from one graph to another is copied where they disagree about its memory format
    model = make().train()
    model.set_metric_training(True)
    graphs = []

    def backend(graph, inputs):
        names = ' '.join(node.name for node in graph.graph.nodes if node.op == 'placeholder')
        graphs.append({part for part in ('stem', 'stages', 'anm', 'head') if f'modules_{part}_' in names})
        return graph.forward

    torch._dynamo.reset()
    torch.compile(model, backend=backend)(images, MODALITY)
    assert {'stages', 'anm', 'head'} in graphs
    assert all(graph <= {'stem'} for graph in graphs if graph != {'stages', 'anm', 'head'})


@pytest.mark.skipif(not compiler_available('cpu'), reason='no C++ compiler')
@pytest.mark.parametrize('size', [(12, 10), (7, 9)], ids=str)
def test_inductor_gives_the_same_step(size):
    # on the CPU it sees the pointwise work, and operators for the transforms, between channels that lie last
    images = torch.randn(4, 3, *size, generator=torch.Generator().manual_seed(1))
    model = make().train()
    other = copy.deepcopy(model)
    torch._dynamo.reset()
    assert_same_step(model, torch.compile(model, fullgraph=True), other, images, 'visible')


@pytest.mark.parametrize('shape', [(2, 3, 6, 5), (2, 3, 2, 6, 5), (1, 1, 4, 4)], ids=str)
def test_operators(shape):
    # what torch.compile is told about them: shapes, memory formats, and that they leave their inputs alone
    order = [*range(2, len(shape) - 2), 0, len(shape) - 2, len(shape) - 1, 1]
    maps = torch.empty_permuted(shape, order).normal_()
    tests = ('test_schema', 'test_faketensor')
    for apart in (False, True):
        x = maps if apart else maps.contiguous()
        torch.library.opcheck(torch.ops.fdnm_timm.transformed, (x, 2., apart), test_utils=tests)
        spec = torch.ops.fdnm_timm.transformed(x, 1., apart)
        expected = torch.view_as_real(torch.fft.rfft2(x, norm='ortho'))
        torch.testing.assert_close(spec, expected, rtol=1e-5, atol=1e-5)
        torch.library.opcheck(torch.ops.fdnm_timm.inverse_transformed, (spec, shape[-1]), test_utils=tests)
        back = torch.ops.fdnm_timm.inverse_transformed(spec, shape[-1])
        torch.testing.assert_close(back, x, rtol=1e-5, atol=1e-5)
        assert back.stride() == x.stride() or 1 in shape


def test_gradient_checkpointing_compiles(images):
    model = make().train()
    other = copy.deepcopy(model)
    model.set_grad_checkpointing()
    torch._dynamo.reset()
    assert_same_step(model, torch.compile(model, fullgraph=True, backend='eager'), other, images, 'visible')


def test_gradient_checkpointing_covers_agp(images):
    model = make(anm=False).train()
    with_agp = saved_bytes(model, images, MODALITY)
    model.set_grad_checkpointing()
    checkpointed = saved_bytes(model, images, MODALITY)
    for stage in model.stages:
        stage.agp = nn.Identity()
    without = saved_bytes(model, images, MODALITY)
    # a checkpointed AGP keeps its input, the map of (4, CHS, H, W) before it, and nothing of its spectra
    inputs = 4 * 4 * CHS * (6 * 5 + 3 * 3)
    assert checkpointed - without <= inputs < with_agp - checkpointed


def test_channels_last_changes_nothing(images):
    model = make().train()
    other = copy.deepcopy(model)
    model.to(memory_format=torch.channels_last)
    x = images.to(memory_format=torch.channels_last)
    got, grads = step(model, model, x, MODALITY)
    expected, expected_grads = step(other, other, images, MODALITY)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    for name, grad in grads.items():
        torch.testing.assert_close(grad, expected_grads[name], rtol=1e-3, atol=1e-3)
    assert model.eval().forward_features(x, 'visible').is_contiguous(memory_format=torch.channels_last)
