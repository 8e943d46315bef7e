"""Data sets that several tests read; drawn once a session."""
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope='session', autouse=True)
def _few_threads():
    torch.set_num_threads(1)  # the maps are small: more threads only wait for each other


@pytest.fixture(scope='session')
def sysu_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SyntheticVI in SYSU-MM01's layout."""
    from fdnm_timm.data import SyntheticVI
    root = tmp_path_factory.mktemp('data') / 'SYSU-MM01'
    SyntheticVI(root, num_train=8, num_val=2, num_test=6, images_per_camera=3, height=48, width=24)
    return root
