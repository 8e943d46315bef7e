"""That the large gallery is what it is said to be, and that rows come of it; no times."""
import dataclasses

import numpy as np
import torch

from fdnm_timm.benchmarks import settings_for
from fdnm_timm.benchmarks.search import draw_gallery, draw_queries, search_rows

SETTINGS = settings_for(torch.device('cpu'), repeats=2, quick=True)


def test_a_query_is_of_a_person_of_the_gallery(tmp_path):
    draw_gallery(tmp_path / 'gallery.npy', 20_010, 64)
    gallery, query = np.load(tmp_path / 'gallery.npy'), draw_queries(30, 20_010, 64)
    assert gallery.shape == (20_010, 64) and np.allclose(np.linalg.norm(gallery, axis=1), 1, atol=1e-6)
    cosines = query @ gallery.T
    best = np.sort(np.argsort(-cosines, axis=1)[:, :5], axis=1) // 10
    person = best[:, 2]
    assert len(set(person)) == 30
    own = np.take_along_axis(cosines, person[:, None] * 10 + np.arange(10), 1)
    assert abs(own.mean() - 0.5) < 0.03 and abs(cosines.mean()) < 0.01
    assert not np.allclose(own.max(axis=1), 1, atol=0.1)  # another image, not the same


def test_rows():
    problems = ((500, 16, ('flat', 'hnsw')), (3000, 16, ('flat', 'ivf')))
    rows = list(search_rows(dataclasses.replace(SETTINGS, search=problems, search_queries=20)))
    assert len({row.what for row in rows}) == len(rows) and all(np.isfinite(row.median) for row in rows)
    found = {row.what.partition(':')[0]: row.median for row in rows if row.what.endswith('found')}
    assert list(found) == ['flat, 500 x 16', 'hnsw, 500 x 16', 'flat, 3,000 x 16', 'ivf, 3,000 x 16']
    assert found['flat, 500 x 16'] == found['flat, 3,000 x 16'] == 1
    assert min(found.values()) > 0.5 and {row.unit for row in rows} == {'s', 'MB', 'x'}
