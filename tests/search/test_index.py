"""Indices on disk: they grow, keep what they are told, and are never left half written."""
import json
import os
from pathlib import Path

import numpy as np
import pytest

from fdnm_timm.extraction.features import read_features, write_features
from fdnm_timm.search import Index, Threshold, approximate, folder
from fdnm_timm.search.approximate import choose_kind

from .gallery import features, people

KINDS = ['flat', 'ivf', 'hnsw']
IDS = np.arange(300) % 60


def contents(path: Path) -> dict:
    return {file.name: file.read_bytes() for file in path.iterdir() if not file.name.startswith('.')}


def same(one, other) -> None:
    for a, b in zip(one, other):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('suffix', ['.safetensors', '.npz', '.parquet'])
def test_disk_and_memory_find_the_same(tmp_path, suffix):
    gallery = features(people(IDS), modality=0)
    write_features(tmp_path / f'gallery{suffix}', gallery)
    query = people(IDS[:20], seed=1)
    made = Index.create(tmp_path / 'index', read_features(tmp_path / f'gallery{suffix}'))
    opened = Index.open(tmp_path / 'index')
    expected = Index(gallery).search(query)
    for index in (made, opened):
        assert len(index) == 300 and index.dims == 16 and index.kind == 'flat'
        assert index.paths == gallery.paths and index.metadata == gallery.metadata
        assert index.modality.tolist() == [0] * 300
        same(index.search(query), expected)
    assert opened.num_bytes > 300 * 16 * 4
    assert sorted(name.split('-')[0] for name in os.listdir(tmp_path / 'index')) == ['index.json', 'part', 'part']


@pytest.mark.parametrize('kind', KINDS)
def test_growing(tmp_path, kind, monkeypatch):
    gallery = features(people(IDS))
    first, second = (gallery._replace(
        embeddings=gallery.embeddings[part], paths=gallery.paths[part], modality=gallery.modality[part])
        for part in (slice(0, 200), slice(150, 300)))
    index = Index.create(tmp_path / 'index', first, kind)
    old = contents(tmp_path / 'index')

    def no_training(*args):
        raise AssertionError('trained again')

    monkeypatch.setattr(approximate.Approximate, 'build', no_training)
    assert index.add(second) == 100  # 50 are there already
    assert index.add(second) == 0
    new = contents(tmp_path / 'index')
    kept = [name for name in old if name.startswith('part')]
    assert len(kept) == 2 and all(new[name] == old[name] for name in kept) and len(new) == len(old) + 2
    for grown in (index, Index.open(tmp_path / 'index')):
        assert grown.paths == gallery.paths and len(grown) == 300
        found = grown.search(gallery.embeddings[250:260], 3)
        assert found.places[:, 0].tolist() == list(range(250, 260))
        if kind == 'flat':
            monkeypatch.undo()
            same(found, Index(gallery, 'flat').search(gallery.embeddings[250:260], 3))


@pytest.mark.parametrize('kind, what', [
    ('flat', 'part'), ('flat', 'manifest'), ('ivf', 'part'), ('ivf', 'structure'), ('ivf', 'manifest'),
    ('hnsw', 'structure')])
def test_a_crash_leaves_the_old_index(tmp_path, kind, what, monkeypatch):
    index = Index.create(tmp_path / 'index', features(people(IDS)), kind)
    query = people(IDS[:5], seed=1)
    before, expected = contents(tmp_path / 'index'), index.search(query)

    def crash(self, *args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        target = {'part': 'fdnm_timm.search.folder.write_text',  # between a part's two files
                  'structure': 'fdnm_timm.search.approximate.Approximate.write',
                  'manifest': 'fdnm_timm.search.folder.write_json'}[what]
        patch.setattr(target, crash)
        with pytest.raises(KeyboardInterrupt):
            index.add(features(people(IDS, seed=2), 'more'))
    left = contents(tmp_path / 'index')
    assert {name: left[name] for name in before} == before
    same(index.search(query), expected)
    again = Index.open(tmp_path / 'index')
    same(again.search(query), expected)
    assert again.add(features(people(IDS, seed=2), 'more')) == 300
    assert len(contents(tmp_path / 'index')) == len(before) + 2  # what the crash left is gone
    assert Index.open(tmp_path / 'index').paths[300] == 'more/0.png'


def test_a_crash_while_it_is_made_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr('fdnm_timm.search.folder.write_json', lambda *args: (_ for _ in ()).throw(OSError('disk full')))
    with pytest.raises(OSError, match='disk full'):
        Index.create(tmp_path / 'index', features(people(IDS)))
    assert os.listdir(tmp_path) == []


def test_what_lies_there_is_not_overwritten(tmp_path):
    gallery = features(people(IDS))
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'file').write_text('mine')
    with pytest.raises(FileExistsError, match='other" holds something else'):
        Index.create(tmp_path / 'other', gallery)
    Index.create(tmp_path / 'index', gallery)
    with pytest.raises(FileExistsError, match='holds an index already: give it as the gallery, and add to it'):
        Index.create(tmp_path / 'index', gallery)
    (tmp_path / 'empty').mkdir()
    assert len(Index.create(tmp_path / 'empty', gallery)) == 300


def test_a_path_counts_once(tmp_path):
    gallery = features(people(IDS[:4]))
    gallery.paths[2] = gallery.paths[0]
    index = Index.create(tmp_path / 'index', gallery)
    assert index.paths == ['g/0.png', 'g/1.png', 'g/3.png']
    np.testing.assert_array_equal(index.search(gallery.embeddings[3:], 1).places, [[2]])
    assert len(Index(gallery)) == 4


@pytest.mark.parametrize('change, message', [
    (dict(fingerprint='b' * 64, model='hf-hub:other/one'),
     r'The features to add are of hf-hub:other/one \(bbbbbbbbbbbb\), but the index ".*index" is of local-dir:mine '
     r'\(aaaaaaaaaaaa\): their weights differ'),
    (dict(preprocessing='1x8x8'), r'their preprocessing differ \(1x8x8 and 3x48x24\)'),
])
def test_another_model_is_refused(tmp_path, change, message):
    index = Index.create(tmp_path / 'index', features(people(IDS)))
    before = contents(tmp_path / 'index')
    with pytest.raises(ValueError, match=message):
        index.add(features(people(IDS), 'more', **change))
    assert contents(tmp_path / 'index') == before


def test_other_dimensions_are_refused(tmp_path):
    index = Index.create(tmp_path / 'index', features(people(IDS)))
    with pytest.raises(ValueError, match='have 8 dimensions, but the index ".*" has 16: embed both'):
        index.add(features(people(IDS, dims=8), 'more'))
    with pytest.raises(ValueError, match='queries have 8 dimensions, but the gallery has 16'):
        index.search(people(IDS, dims=8))


@pytest.mark.parametrize('kind', KINDS)
def test_nan_is_refused_and_nothing_written(tmp_path, kind):
    gallery = features(people(IDS))
    gallery.embeddings[7, 3] = np.nan
    message = r'Embedding 7 of the gallery \(from 0\) holds NaN'
    with pytest.raises(ValueError, match=message):
        Index.create(tmp_path / 'index', gallery, kind)
    assert os.listdir(tmp_path) == []
    index = Index.create(tmp_path / 'index', features(people(IDS)), kind)
    before = contents(tmp_path / 'index')
    gallery.paths[:] = [f'more/{path}' for path in gallery.paths]
    with pytest.raises(ValueError, match='holds NaN'):
        index.add(gallery)
    left = contents(tmp_path / 'index')
    assert {name: left[name] for name in before} == before and len(Index.open(tmp_path / 'index')) == 300
    with pytest.raises(ValueError, match=r'Embedding 0 of the queries \(from 0\) holds NaN'):
        index.search(gallery.embeddings[7:8])


def test_bad_arguments():
    gallery = features(people(IDS))
    with pytest.raises(ValueError, match='gallery is empty'):
        Index(features(np.empty((0, 4))))
    with pytest.raises(ValueError, match="kind is 'tree', but must be auto or one of flat, ivf, hnsw"):
        Index(gallery, 'tree')
    with pytest.raises(ValueError, match='top is 0'):
        Index(gallery).search(gallery.embeddings, 0)
    with pytest.raises(ValueError, match='flat index always compares everything'):
        Index(gallery).search(gallery.embeddings, 5, effort=3)
    with pytest.raises(ValueError, match='effort is 0'):
        Index(gallery, 'ivf').search(gallery.embeddings, 5, effort=0)
    with pytest.raises(RuntimeError, match=r'lies in memory: make one on disk with Index\.create'):
        Index(gallery).add(gallery)


def test_auto_goes_by_size(monkeypatch):
    assert choose_kind(1 << 19, 512) == 'flat' and choose_kind((1 << 19) + 1, 512) == 'ivf'
    assert choose_kind(13_000, 20_480) == 'flat' and choose_kind(13_200, 20_480) == 'ivf'
    monkeypatch.setattr(approximate, '_MAX_FLAT_VALUES', 300 * 16 - 1)
    assert Index(features(people(IDS))).kind == 'ivf' and Index(features(people(IDS[:299]))).kind == 'flat'


def test_a_threshold_is_kept(tmp_path):
    index = Index.create(tmp_path / 'index', features(people(IDS)))
    threshold = Threshold(0.5, 'validation', 0.01, 0.9, 10, 1000, 'some', ['few'])
    index.store_threshold(threshold)
    assert index.threshold == Index.open(tmp_path / 'index').threshold == threshold
    index.add(features(people(IDS), 'more'))
    assert Index.open(tmp_path / 'index').threshold == threshold
    index.store_threshold(None)
    assert Index.open(tmp_path / 'index').threshold is None


def damage_part(path: Path) -> str:
    (file,) = path.glob('part-*.npy')
    file.write_bytes(file.read_bytes()[:-8])
    return r'part-.*" is damaged .*make the index anew'


def damage_labels(path: Path) -> str:
    (file,) = path.glob('part-*.json')
    labels = json.loads(file.read_text())
    file.write_text(json.dumps({**labels, 'paths': labels['paths'][1:]}))
    return '300 embeddings and 299 paths, but 300 of each'


def damage_structure(path: Path) -> str:
    (file,) = path.glob('*.faiss')
    file.write_bytes(file.read_bytes()[:100])
    return r'\.faiss" is damaged'


def damage_manifest(path: Path) -> str:
    (path / 'index.json').write_text('{"format": 1, "kin')
    return r'index\.json" is damaged'


def newer_format(path: Path) -> str:
    manifest = json.loads((path / 'index.json').read_text())
    (path / 'index.json').write_text(json.dumps({**manifest, 'format': 2}))
    return 'has format 2, but this version of fdnm_timm reads 1'


@pytest.mark.parametrize('damage', [damage_part, damage_labels, damage_structure, damage_manifest, newer_format])
def test_a_damaged_index_is_told(tmp_path, damage):
    Index.create(tmp_path / 'index', features(people(IDS)), 'ivf')
    message = damage(tmp_path / 'index')
    with pytest.raises(ValueError, match=message):
        Index.open(tmp_path / 'index')


def test_no_index_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'holds no index.*fdnm search --gallery .* --save'):
        Index.open(tmp_path)


def test_two_cannot_change_it_at_once(tmp_path):
    index = Index.create(tmp_path / 'index', features(people(IDS)))
    with folder.locked(tmp_path / 'index'):
        with pytest.raises(RuntimeError, match='Another process changes the index'):
            index.add(features(people(IDS), 'more'))
    # what another added in between is not lost
    Index.open(tmp_path / 'index').add(features(people(IDS[:3]), 'more'))
    assert index.add(features(people(IDS[:5]), 'more')) == 2 and len(index) == 305
