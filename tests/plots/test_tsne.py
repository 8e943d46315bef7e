import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.text import Text
from PIL import Image

from fdnm_timm.plots import save_figure
from fdnm_timm.plots.tsne import embed_plane, plot_tsne
from fdnm_timm.saved import Samples


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points, axis=2).astype(np.float32)


def samples(num_ids: int = 3, images: int = 2, seed: int = 0) -> Samples:
    """Identities as clusters that are far from each other."""
    rng = np.random.default_rng(seed)
    pids = np.repeat(10 * np.arange(num_ids), 2 * images)
    modality = np.tile(np.repeat(np.int8([0, 1]), images), num_ids)
    matrices = [distances(100. * pids[:, None] * factor + rng.normal(size=(len(pids), 4))) for factor in (1, 1, 1, 0)]
    return Samples(pids, modality + 1, modality, np.array([f'{n}.jpg' for n in range(len(pids))]), *matrices)


def test_clusters_stay_together():
    found = samples(4, 8)
    points = embed_plane(found.embedding)
    nearest = (distances(points) + 1e9 * np.eye(len(points))).argmin(axis=1)
    assert points.shape == (64, 2) and (found.pids[nearest] == found.pids).all()


def test_the_seed_makes_the_points():
    matrix = samples(4, 4).embedding
    before = matrix.copy()
    assert np.array_equal(embed_plane(matrix), embed_plane(matrix))
    assert not np.array_equal(embed_plane(matrix), embed_plane(matrix, seed=1))
    assert np.array_equal(matrix, before)


@pytest.mark.parametrize('n', [3, 4, 5, 10])
def test_few_images(n):
    points = embed_plane(distances(np.random.default_rng(0).normal(size=(n, 3))))
    assert points.shape == (n, 2) and np.isfinite(points).all()


def test_features_that_do_not_differ():
    assert np.isfinite(embed_plane(np.zeros((6, 6), dtype=np.float32))).all()


def test_too_few_images():
    with pytest.raises(ValueError, match='2 images'):
        embed_plane(np.zeros((2, 2)))


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.manifold', None)
    with pytest.raises(ImportError, match=r'pip install "fdnm_timm\[plots\]"'):
        embed_plane(np.zeros((4, 4)))


def test_markers_tell_the_modality():
    found = samples(3, 2)
    axes = plot_tsne(found).axes
    assert [axis.get_title() for axis in axes] == ['spatial features', 'amplitude', 'phase']
    points = embed_plane(found.spatial)
    shown = {0: [], 1: []}
    for collection in axes[0].collections:
        edges = len(collection.get_paths()[0].vertices)
        shown[int(edges < 10)] += collection.get_offsets().tolist()  # a circle's path is long, a triangle's short
    for modality, own in shown.items():
        np.testing.assert_allclose(sorted(own), sorted(points[found.modality == modality].tolist()), rtol=1e-6)


def test_colour_and_fill_tell_24_identities():
    collections = plot_tsne(samples(24, 1), ['embedding']).axes[0].collections
    styles = [(tuple(c.get_facecolor()[0]), tuple(c.get_edgecolor()[0])) for c in collections]
    assert len(styles) == 48 and len(set(styles)) == 24
    assert styles[0] == styles[1] != styles[2]  # both modalities of an identity
    assert not any(face == to_rgba('white') == edge for face, edge in styles)


def test_runs_beside_each_other():
    found = samples()
    figure = plot_tsne({'initial': found, 'FDNM': found}, ['embedding'])
    assert [axis.get_title() for axis in figure.axes] == ['initial', 'FDNM']
    assert len({round(axis.get_position().y0, 6) for axis in figure.axes}) == 1
    figure = plot_tsne({'initial': found, 'FDNM': found}, ['spatial', 'phase'])
    assert [axis.get_title() for axis in figure.axes] == [
        'initial, spatial features', 'initial, phase', 'FDNM, spatial features', 'FDNM, phase']
    assert plot_tsne({'FDNM': found}, ['phase']).axes[0].get_title() == 'phase'


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="'embedding', 'spatial', 'amplitude', 'phase'"):
        plot_tsne(samples(), ['angle'])
    for args in ((samples(), []), ({}, ['phase'])):
        with pytest.raises(ValueError, match='at least one run'):
            plot_tsne(*args)


@pytest.mark.parametrize('kinds, width', [(['embedding'], 3.4), (['embedding'] * 5, 7)])
def test_text_is_readable_in_print_and_nothing_warns(kinds, width, tmp_path, recwarn):
    figure = plot_tsne(samples(2, 2), kinds)
    assert figure.get_figwidth() == width
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 7
    assert all('no unit' in axis.get_xlabel() for axis in figure.axes)
    with Image.open(save_figure(tmp_path / 'tsne.png', figure)) as image:
        assert image.width == 150 * width
    assert not recwarn.list
