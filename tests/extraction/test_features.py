import os
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file

from fdnm_timm.extraction import Features, read_features, write_features
from fdnm_timm.extraction import features as module
from fdnm_timm.extraction._stream import FeatureStream
from fdnm_timm.extraction.features import SUFFIXES, write_stream


def made(rows: int = 7, dims: int = 5) -> Features:
    generator = np.random.default_rng(rows)
    return Features(
        generator.standard_normal((rows, dims)).astype(np.float32), [f'a b/ü{"x" * i}.jpg' for i in range(rows)],
        np.array([0, 1, -1] * rows, np.int8)[:rows], {'model': 'local-dir:"m"', 'fingerprint': 'ab'})


def assert_same(found: Features, expected: Features) -> None:
    np.testing.assert_array_equal(found.embeddings, expected.embeddings)
    assert found.embeddings.dtype == np.float32 and found.modality.dtype == np.int8
    np.testing.assert_array_equal(found.modality, expected.modality)
    assert (found.paths, found.metadata) == (expected.paths, expected.metadata)


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize('rows', [7, 1, 0])
def test_round_trip(tmp_path, monkeypatch, suffix, rows):
    monkeypatch.setattr(module, '_BLOCK', 3 * 5 * 4)  # blocks of three rows
    path = tmp_path / f'f{suffix}'
    write_features(path, made(rows))
    assert_same(read_features(str(path)), made(rows))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_same_features_make_the_same_file(tmp_path, suffix):
    write_features(tmp_path / f'a{suffix}', made())
    os.utime(tmp_path / f'a{suffix}', (0, 0))
    write_features(tmp_path / f'b{suffix}', made())
    assert (tmp_path / f'a{suffix}').read_bytes() == (tmp_path / f'b{suffix}').read_bytes()


@pytest.mark.parametrize('suffix', ['.safetensors', '.npz'])
def test_embeddings_are_mapped(tmp_path, suffix):
    path = tmp_path / f'f{suffix}'
    write_features(path, made())
    embeddings = read_features(path).embeddings
    assert isinstance(embeddings, np.memmap) and not embeddings.flags.writeable
    assert embeddings.ctypes.data % 4 == 0 or suffix == '.npz'
    with open(path, 'rb+') as file:  # what is mapped is the file
        content = file.read()
        place = content.index(made().embeddings[2].tobytes())
        file.seek(place)
        file.write(np.float32(42).tobytes())
    assert embeddings[2, 0] == 42


def test_other_libraries_read_the_files(tmp_path):
    features = made()
    for suffix in SUFFIXES:
        write_features(tmp_path / f'f{suffix}', features)
    tensors = load_file(tmp_path / 'f.safetensors')
    np.testing.assert_array_equal(tensors['embeddings'], features.embeddings)
    assert tensors['paths'].tobytes().decode().split('\0')[:-1] == features.paths
    arrays = np.load(tmp_path / 'f.npz', allow_pickle=False)
    np.testing.assert_array_equal(arrays['embeddings'], features.embeddings)
    assert arrays['paths'].tolist() == features.paths
    parquet = pytest.importorskip('pyarrow.parquet')
    table = parquet.read_table(tmp_path / 'f.parquet')
    assert table.column_names == ['path', 'modality', 'embedding']
    np.testing.assert_array_equal(np.array(table['embedding'].to_pylist(), np.float32), features.embeddings)


def test_compressed_and_plain_npz_of_others(tmp_path):
    """np.savez's layout is read; a compressed one cannot be mapped, which the message says."""
    features = made()
    arrays = dict(embeddings=features.embeddings, modality=features.modality, paths=np.array(features.paths),
                  metadata=np.array('{"model": "local-dir:\\"m\\"", "fingerprint": "ab"}'))
    np.savez(tmp_path / 'a.npz', **arrays)
    assert_same(read_features(tmp_path / 'a.npz'), features)
    np.savez_compressed(tmp_path / 'b.npz', **arrays)
    with pytest.raises(ValueError, match='is compressed'):
        read_features(tmp_path / 'b.npz')


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize('change', ['cut', 'emptied', 'other'])
def test_damaged_files_are_named(tmp_path, suffix, change):
    path = tmp_path / f'f{suffix}'
    write_features(path, made(200, 50))
    content = path.read_bytes()
    path.write_bytes({'cut': content[:len(content) // 2], 'emptied': b'', 'other': b'no features' * 99}[change])
    with pytest.raises(ValueError, match=f'f{suffix}" cannot be read as features'):
        read_features(path)


def test_other_arrays_are_refused(tmp_path):
    features = made()
    for changed, message in (
            (dict(embeddings=features.embeddings.astype(np.float64)), 'embeddings are float64 of shape'),
            (dict(embeddings=features.embeddings[0]), 'embeddings are float32 of shape'),
            (dict(paths=features.paths[1:]), 'there are 6 paths'),
            (dict(modality=features.modality[1:]), 'modality is int8 of shape'),
            (dict(modality=np.full(7, 3, np.int8)), 'modality holds other values'),
            (dict(metadata={'skipped': 3}), 'metadata holds other than text')):
        with pytest.raises(ValueError, match=message):
            write_features(tmp_path / 'f.npz', features._replace(**changed))
    assert os.listdir(tmp_path) == []


def test_wrong_blocks_leave_the_old_file(tmp_path):
    path = tmp_path / 'f.safetensors'
    write_features(path, made())
    before = path.read_bytes()
    for blocks, message in (([np.zeros((3, 5), np.float32)], '3 rows together, but 7'),
                            ([np.zeros((7, 4), np.float32)], r'shape \[7, 4\]')):
        with pytest.raises(ValueError, match=message):
            write_stream(path, FeatureStream((7, 5), blocks, made().paths, made().modality, {}))
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def test_names_that_are_none(tmp_path):
    with pytest.raises(ValueError, match=r'ends in "\.pt", but features are kept in files that end in \.safetensors'):
        write_features(tmp_path / 'f.pt', made())
    with pytest.raises(FileNotFoundError, match='There is no file .*f.npz.* of features'):
        read_features(tmp_path / 'f.npz')


def test_members_of_npz_may_be_large(tmp_path):
    """zip64 from the start: what is streamed may pass 4 GB."""
    write_features(tmp_path / 'f.npz', made())
    with zipfile.ZipFile(tmp_path / 'f.npz') as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time[0] == 1980  # not of now: the same features make the same file
    content = (tmp_path / 'f.npz').read_bytes()
    assert content.startswith(b'PK\x03\x04') and content[4:6] == (45).to_bytes(2, 'little')  # version 4.5 is needed
