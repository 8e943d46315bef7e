from pathlib import Path
from typing import List

import pytest

from fdnm_timm.extraction import Embedder, load_embedder

from .helpers import small_model, write_images


@pytest.fixture(scope='session')
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp('saved'))


@pytest.fixture
def embedder(saved: Path) -> Embedder:
    return load_embedder(f'local-dir:{saved}')


@pytest.fixture(scope='session')
def images(tmp_path_factory: pytest.TempPathFactory) -> List[str]:
    """40 images of both modalities by turns; not to be changed."""
    folder = tmp_path_factory.mktemp('images')
    return write_images(folder, [f'{("visible", "ir")[i % 2]}/{i:02d}.png' for i in range(40)])
