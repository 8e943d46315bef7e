import pytest
import torch

from .published import published_state, wrap


@pytest.fixture(scope='session')
def files(tmp_path_factory):
    """Published-like files for images of 32, so that the fc is small."""
    folder = tmp_path_factory.mktemp('published')
    states = {version: published_state(version, grid=2) for version in (1, 2)}
    for version, state in states.items():
        torch.save(wrap(state), folder / f'v{version}.pth.tar')
    return folder, states
