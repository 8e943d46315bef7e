"""A test Hub, a client of it in a process of its own, and a small model; each is made once a session."""
from pathlib import Path
from typing import Iterator

import pytest
import timm
import torch

import fdnm_timm  # noqa: F401
from fdnm_timm.hub import save_pretrained

from .client import Client
from .server import Hub


@pytest.fixture(scope='session')
def _hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp('hub')) as hub:
        yield hub


@pytest.fixture
def hub(_hub: Hub) -> Iterator[Hub]:
    """The Hub without faults and with an empty log; its repositories stay, so each test names its own."""
    _hub.requests.clear()
    yield _hub
    _hub.faults.clear()


@pytest.fixture(scope='session')
def client(_hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(_hub.url, tmp_path_factory.mktemp('home'))
    yield client
    client.close()


def make_model(seed: int = 0, **kwargs) -> torch.nn.Module:
    """A model of 0.7 MB."""
    torch.manual_seed(seed)
    model = timm.create_model('fdnm_resnet18', **{'num_classes': 4, 'num_stages': 1, 'agp_stages': (1,), **kwargs})
    return model.eval()


@pytest.fixture(scope='session')
def model() -> torch.nn.Module:
    return make_model()


@pytest.fixture(scope='session')
def folder(model: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pretrained(model, tmp_path_factory.mktemp('saved'), details={'results': {'R1': 12.5}})
