"""A small model whose AGP and ANM do much, and its ONNX file, which takes seconds to make; each once a session."""
import pytest
import timm
import torch

import fdnm_timm  # noqa: F401
from fdnm_timm.export import Exported, export_model
from fdnm_timm.extraction import Embedder

SIZE = (26, 12)  # the map has 7 rows, which 4 stripes do not divide


def make_embedder(name: str = 'fdnm_resnet18', **kwargs) -> Embedder:
    """A model that is not fresh: AGP turns phases by much, ANM changes amplitudes, and batch norms have seen images."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=3, init='paper', **kwargs)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
        elif isinstance(module, torch.nn.InstanceNorm2d):
            module.bias.data.normal_()
    return Embedder(model, f'the test\'s {name}')


@pytest.fixture(scope='session')
def embedder() -> Embedder:
    return make_embedder(num_stages=1, agp_stages=(0, 1))


@pytest.fixture(scope='session')
def onnx_file(embedder, tmp_path_factory) -> Exported:
    return export_model(
        embedder, tmp_path_factory.mktemp('export') / 'model.onnx', 'input', height=SIZE[0], width=SIZE[1])
