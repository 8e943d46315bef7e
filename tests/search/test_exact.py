"""Flat search gives the order of `metrics.retrieve`, whatever the embeddings."""
import numpy as np
import pytest
import torch

from fdnm_timm.metrics import cosine_distances, retrieve
from fdnm_timm.search import Index
from fdnm_timm.search import exact as exact_module
from fdnm_timm.search import rows as rows_module

from .gallery import features


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def few_values():
    """Rows of -1, 0 and 1: many cosines are equal, though computed from different rows."""
    return np.random.default_rng(3).integers(-1, 2, (700, 6)).astype(np.float32)


def scaled_copies():
    """Each row many times, at lengths that rounding does not divide evenly; metrics takes them for equal, or nearly."""
    return np.concatenate([normal(40, 8, seed=4) * np.float32(length) for length in (1, 3, 0.1, 7e-3, 1e4, 1 / 3)])


def last_digits():
    """Rows that differ in the last digits alone."""
    rows = np.tile(normal(1, 32, seed=5), (500, 1))
    return np.nextafter(rows, np.float32(9) * np.random.default_rng(6).choice([-1, 1], rows.shape).astype(np.float32))


def a_plateau():
    """More rows at one distance than candidates are taken, far behind the nearest ones and in front of the rest."""
    rows = unit(normal(900, 8, seed=7))
    rows[::2] = rows[1]
    return rows


GALLERIES = {
    'normal': lambda: normal(800, 16), 'unit': lambda: unit(normal(800, 16)),
    'like a model': lambda: np.concatenate([unit(normal(800, 8, seed=n)) for n in range(5)], 1),
    'all alike': lambda: np.ones((300, 4), np.float32),
    'with zeros': lambda: np.concatenate([np.zeros((60, 8), np.float32), normal(60, 8)]),
    'tiny and large': lambda: normal(300, 8) * np.float32(10) ** np.random.default_rng(0).integers(-11, 15, (300, 1)),
    'few values': few_values, 'scaled copies': scaled_copies, 'last digits': last_digits, 'a plateau': a_plateau,
}


@pytest.mark.parametrize('block', [1 << 24, 600], ids=['one block', 'many blocks'])
@pytest.mark.parametrize('name', GALLERIES)
def test_order_is_that_of_metrics(name, block, monkeypatch):
    monkeypatch.setattr(rows_module, '_MAX_VALUES', block)
    gallery = GALLERIES[name]().astype(np.float32)
    query = np.concatenate([gallery[::37][:9], 2 * gallery[5:6], normal(6, gallery.shape[1], seed=1)])
    for top in (1, 10, 60):
        found = Index(features(gallery), 'flat').search(query, top)
        np.testing.assert_array_equal(found.places, retrieve(query, gallery, top=top))
        similarity = 1 - cosine_distances(torch.tensor(query), torch.tensor(gallery)).numpy()
        expected = np.take_along_axis(similarity, found.places, 1)
        np.testing.assert_allclose(found.similarity, expected, rtol=0, atol=1.2e-7)  # 1 - (1 - x) rounds


def test_ties_keep_the_gallerys_order():
    rows = normal(50, 8)
    gallery = np.tile(rows, (9, 1))
    found = Index(features(gallery), 'flat').search(rows[[7]], 9)
    assert found.places.tolist() == [list(range(7, 450, 50))]
    assert found.similarity.tolist() == [[1.] * 9]


def test_candidates_suffice_where_nothing_is_tied(monkeypatch):
    """What is slow is left to where it is needed; there it is needed."""
    calls = []
    slow = exact_module._compare_all
    monkeypatch.setattr(
        exact_module, '_compare_all', lambda query, *rest: calls.append(len(query)) or slow(query, *rest))
    gallery = normal(5000, 64)
    Index(features(gallery), 'flat').search(normal(20, 64, seed=1), 10)
    assert calls == []
    gallery[:200] = gallery[0]
    Index(features(gallery), 'flat').search(np.concatenate([gallery[:1], normal(3, 64, seed=2)]), 10)
    assert sum(calls) == 1


@pytest.mark.parametrize('top, width', [(1, 1), (3, 3), (4, 3)])
def test_a_gallery_smaller_than_top(top, width):
    found = Index(features(normal(3, 4)), 'flat').search(normal(2, 4, seed=1), top)
    assert found.places.shape == found.similarity.shape == (2, width)


@pytest.mark.parametrize('kind', ['ivf', 'hnsw'])
def test_approximate_kinds_give_exact_similarities(kind):
    """They may miss images; what they find is compared and ordered as flat search does."""
    gallery = normal(3000, 16)
    query = gallery[:40] + 0.1 * normal(40, 16, seed=1)
    flat, found = (Index(features(gallery), name).search(query, 10) for name in ('flat', kind))
    hits = [np.isin(a, b).mean() for a, b in zip(found.places, flat.places)]
    assert np.mean(hits) > 0.6 and (found.places[:, 0] == np.arange(40)).all()
    for row in range(40):
        of = dict(zip(flat.places[row].tolist(), flat.similarity[row].tolist()))
        both = [(place, value) for place, value in zip(found.places[row].tolist(), found.similarity[row].tolist())
                if place in of]
        assert all(of[place] == value for place, value in both)
        assert [place for place, _ in both] == [place for place in flat.places[row] if place in set(dict(both))]


def test_more_effort_finds_more():
    gallery, query = normal(4000, 32), normal(50, 32, seed=1)
    flat, ivf = (Index(features(gallery), kind) for kind in ('flat', 'ivf'))
    exact = flat.search(query, 10).places
    found = [np.mean([np.isin(a, b).mean() for a, b in zip(ivf.search(query, 10, effort).places, exact)])
             for effort in (1, 8, 10_000)]
    assert found[0] < found[1] < found[2] == 1


def test_ivf_may_find_fewer():
    gallery = np.concatenate([np.eye(4, dtype=np.float32)] * 40)
    found = Index(features(gallery), 'ivf').search(gallery[:1], 100, effort=1)
    missing = found.places < 0
    assert missing.any() and np.isnan(found.similarity[missing]).all() and not missing[:, 0].any()
    assert (np.diff(missing.astype(int), axis=1) >= 0).all()  # behind what was found
