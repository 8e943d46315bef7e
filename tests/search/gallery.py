"""Small galleries for the tests of this folder."""
from typing import Any

import numpy as np

from fdnm_timm.extraction.features import Features

MODEL = {'model': 'local-dir:mine', 'fingerprint': 'a' * 64, 'preprocessing': '3x48x24'}


def features(embeddings: Any, prefix: str = 'g', modality: Any = -1, **metadata: str) -> Features:
    """Features of a model, with paths prefix/0.png, prefix/1.png, ..."""
    embeddings = np.asarray(embeddings, np.float32)
    paths = [f'{prefix}/{row}.png' for row in range(len(embeddings))]
    return Features(
        embeddings, paths, np.broadcast_to(np.int8(modality), len(paths)).copy(), {**MODEL, **metadata})


def people(ids: Any, dims: int = 16, noise: float = 0.3, seed: int = 0) -> np.ndarray:
    """An embedding (len(ids), dims) of each identity, noisy."""
    centres = np.random.default_rng(99).standard_normal((int(np.max(ids)) + 1, dims))
    rows = centres[ids] + noise * np.random.default_rng(seed).standard_normal((len(ids), dims))
    return rows.astype(np.float32)
