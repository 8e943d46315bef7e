from typing import NamedTuple

import numpy as np
import pytest
import torch

from fdnm_timm.data import SyntheticFaces
from fdnm_timm.engine import FDNMEngine, collect_all_samples, collect_samples, samples
from fdnm_timm.metrics import cosine_distances
from fdnm_timm.saved import Samples, read_samples, write_samples

from .helpers import small_engine, small_manager


@pytest.fixture(scope='module')
def engine(sysu_tree) -> FDNMEngine:
    return small_engine(small_manager(sysu_tree))


@pytest.fixture(scope='module')
def found(engine) -> Samples:
    return collect_samples(engine, 'sysu_mm01', num_ids=4, per_modality=3)


def records_of(found: Samples, engine: FDNMEngine, name: str = 'sysu_mm01') -> list:
    root = engine.datamanager.datasets[name].root
    return [(str(root / path), int(pid), int(camid)) for path, pid, camid in zip(*found[3:4], *found[:2], strict=True)]


def literal(maps: np.ndarray) -> dict:
    """Pair by pair, from the definitions."""
    spectra = np.fft.rfft2(maps.astype(np.float64), norm='ortho')
    amplitude = np.abs(spectra)
    phasor = np.where(amplitude > 0, spectra / np.where(amplitude > 0, amplitude, 1), 1)
    n = len(maps)
    out = {name: np.zeros((n, n)) for name in ('spatial', 'amplitude', 'phase')}
    for i in range(n):
        for j in range(n):
            out['spatial'][i, j] = np.sqrt(((maps[i] - maps[j]) ** 2).sum())
            out['amplitude'][i, j] = np.sqrt(((amplitude[i] - amplitude[j]) ** 2).sum())
            out['phase'][i, j] = np.sqrt((np.abs(phasor[i] - phasor[j]) ** 2).mean())
    return out


def last_stage(engine: FDNMEngine, records: list) -> np.ndarray:
    """Maps that a hook sees behind the last stage."""
    maps = []
    handle = engine.model.stages[-1].register_forward_hook(lambda module, args, output: maps.append(output))
    engine.embed('sysu_mm01', records)
    handle.remove()
    return torch.cat(maps).numpy()


def test_distances_are_those_of_the_definitions(engine, found):
    expected = literal(last_stage(engine, records_of(found, engine)))
    for name, matrix in expected.items():
        value = getattr(found, name)
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, matrix, rtol=1e-5, atol=1e-5 * matrix.max())
    assert 0 < found.phase.max() <= 2


def test_embedding_distances_are_those_of_the_evaluation(engine, found):
    embeddings = engine.embed('sysu_mm01', records_of(found, engine))
    expected = cosine_distances(embeddings, embeddings).numpy()
    np.testing.assert_allclose(found.embedding, expected, atol=1e-6)


def test_all_are_distance_matrices(found):
    for matrix in found[4:]:
        assert np.isfinite(matrix).all() and (matrix >= 0).all()
        assert not matrix.diagonal().any() and np.array_equal(matrix, matrix.T)


def test_blocks_of_channels_change_nothing(engine, found, monkeypatch):
    monkeypatch.setattr(samples, '_BLOCK_VALUES', 1)
    for one, other in zip(collect_samples(engine, 'sysu_mm01', 4, 3)[4:], found[4:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_draw(engine, found):
    trial = engine.datamanager.settings['sysu_mm01'][0].trials[0]
    records = records_of(found, engine)
    assert set(records) <= {*trial.query, *trial.gallery} and len(set(records)) == len(records)
    groups = list(zip(found.pids.tolist(), found.modality.tolist(), strict=True))
    assert groups == sorted(groups)
    counts = {group: groups.count(group) for group in groups}
    pids = set(found.pids.tolist())
    assert len(pids) == 4 and set(counts) == {(pid, modality) for pid in pids for modality in (0, 1)}
    assert max(counts.values()) == 3
    dataset = engine.datamanager.datasets['sysu_mm01']
    assert found.modality.tolist() == [dataset.modality(path) for path, _, _ in records]


def test_draw_depends_on_the_seed_alone(engine, found):
    again, other = (collect_samples(engine, 'sysu_mm01', 4, 3, seed=seed) for seed in (0, 1))
    assert again.paths.tolist() == found.paths.tolist()
    assert other.paths.tolist() != found.paths.tolist()


def test_fewer_than_asked_for(engine):
    every = collect_samples(engine, 'sysu_mm01', 100, 100)
    trial = engine.datamanager.settings['sysu_mm01'][0].trials[0]
    both = {pid for _, pid, _ in trial.query} & {pid for _, pid, _ in trial.gallery}
    assert len(every.pids) == sum(pid in both for _, pid, _ in [*trial.query, *trial.gallery])
    one = collect_samples(engine, 'sysu_mm01', 1, 1)
    assert one.modality.tolist() == [0, 1] and one.spatial.shape == (2, 2)


def test_model_without_anm(sysu_tree):
    engine = small_engine(small_manager(sysu_tree), model=dict(anm=False, agp_stages=(), num_parts=0))
    found = collect_samples(engine, 'sysu_mm01', 3, 2)
    np.testing.assert_allclose(
        found.amplitude, literal(last_stage(engine, records_of(found, engine)))['amplitude'], rtol=1e-4, atol=1e-4)


def test_lightcnn(tmp_path):
    dataset = SyntheticFaces(tmp_path / 'faces', num_train=4, num_test=4, images_per_modality=3, size=48)
    manager = small_manager(
        str(tmp_path / 'faces'), sources=dataset, height=32, width=32, channels=1, mean=(0.,), std=(1.,))
    import timm
    model = timm.create_model('fdnm_lightcnn29', num_classes=manager.num_train_pids, img_size=32)
    engine = FDNMEngine(manager, model, torch.optim.SGD(model.parameters(), lr=0.1), progress=False)
    found = collect_all_samples(engine, num_ids=3, per_modality=2)
    assert list(found) == ['synthetic_faces'] and found['synthetic_faces'].phase.shape == (12, 12)


def test_maps_without_differences():
    found = samples._map_distances(torch.zeros(3, 2, 4, 2), torch.device('cpu'))
    assert all(not matrix.any() for matrix in found.values())
    single = samples._map_distances(torch.tensor([1., -1., 2.])[:, None, None, None], torch.device('cpu'))
    assert single['phase'].round(3).tolist() == [[0, 2, 0], [2, 0, 2], [0, 2, 0]]
    assert single['amplitude'].tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]


def test_what_cannot_be_collected(engine, monkeypatch):
    with pytest.raises(ValueError, match="'regdb', but this engine evaluates on 'sysu_mm01'"):
        collect_samples(engine, 'regdb')
    for args in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match='at least 1'):
            collect_samples(engine, 'sysu_mm01', *args)
    monkeypatch.setattr(type(engine.datamanager.datasets['sysu_mm01']), 'modality', lambda self, path: 0)
    with pytest.raises(ValueError, match='None of the 6 test identities was seen in both'):
        collect_samples(engine, 'sysu_mm01')


def test_round_trip(found, tmp_path):
    write_samples(tmp_path / 'samples.npz', {'sysu_mm01': found, 'other': found})
    read = read_samples(tmp_path / 'samples.npz')
    assert list(read) == ['sysu_mm01', 'other']
    for mine, its in zip(read['sysu_mm01'], found, strict=True):
        assert mine.dtype == its.dtype and np.array_equal(mine, its)


class _Other(NamedTuple):
    pids: np.ndarray


def test_damaged_and_missing(tmp_path):
    file = tmp_path / 'samples.npz'
    with pytest.raises(FileNotFoundError):
        read_samples(file)
    file.write_bytes(b'not a zip')
    with pytest.raises(ValueError, match='is damaged, or holds no samples'):
        read_samples(file)
    write_samples(file, {'a': _Other(np.zeros(2))})  # lacks the matrices
    with pytest.raises(ValueError, match='fdnm evaluate RUN --samples'):
        read_samples(file)
