import csv
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from fdnm_timm.config import load_config
from fdnm_timm.data import DatasetError
from fdnm_timm.engine import build_engine
from fdnm_timm.extraction import Embedder, load_embedder, read_features
from fdnm_timm.extraction import extract as module
from fdnm_timm.extraction.extract import extract, parts_folder
from fdnm_timm.extraction.features import SUFFIXES
from fdnm_timm.extraction.modality import modalities_of, modality_by_folder

from ..hub.small_run import small_run
from .helpers import forked, small_model, write_images

SMALL = dict(batch_size=4, workers=0, shard_images=8)


def modality(paths):
    return np.array([modality_by_folder(path) for path in paths], np.int8)


@pytest.fixture(scope='session')
def expected(saved, images, tmp_path_factory) -> Path:
    """The images' features, extracted in one go."""
    out = tmp_path_factory.mktemp('expected') / 'f.safetensors'
    extract(images, modality(images), load_embedder(f'local-dir:{saved}'), out, **SMALL)
    return out


def test_embeddings_are_those_of_the_evaluation(sysu_tree, tmp_path):
    run = small_run(sysu_tree)
    engine = build_engine(load_config(run / 'config.yaml'), progress=False, training=False)
    dataset = engine.datamanager.datasets['synthetic_vi']
    records = dataset.test[::5]
    paths = [path for path, _, _ in records]
    numbers = np.array([dataset.modality(path) for path in paths], np.int8)
    assert set(numbers) == {0, 1}
    for flip in (False, True):
        embedder, out = load_embedder(str(run), flip=flip), tmp_path / f'{flip}.npz'
        engine.model.load_state_dict(embedder.model.state_dict())
        extract(paths, numbers, embedder, out, batch_size=7, workers=0)
        found, wanted = read_features(out), engine.embed('synthetic_vi', records, flip=flip).numpy()
        assert wanted.shape == (len(paths), embedder.dims)
        np.testing.assert_allclose(found.embeddings, wanted, atol=1e-6)
        assert found.paths == paths and np.array_equal(found.modality, numbers)


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize('workers', [0, 2])
def test_formats_and_workers(embedder, images, expected, tmp_path, suffix, workers):
    out = tmp_path / f'f{suffix}'
    done = extract(images, modality(images), embedder, out, **{**SMALL, 'workers': workers})
    assert done == (out, 40, 256, 0, Path(f'{out}.errors.csv'))
    found, wanted = read_features(out), read_features(expected)
    np.testing.assert_array_equal(found.embeddings, wanted.embeddings)
    assert found.paths == images and found.metadata == wanted.metadata
    assert found.metadata == {**embedder.metadata, 'skipped': '0'}
    assert os.listdir(tmp_path) == [out.name]
    if suffix == '.safetensors':
        assert out.read_bytes() == expected.read_bytes()


class _Dies(Embedder):
    """Kills its process instead of embedding so-manieth batch."""
    left = 7

    def embed(self, images, modality='unknown'):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(images, modality)


def _die_merging(stream):
    for number, block in enumerate(stream.blocks):
        yield block
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def test_killed_run_goes_on(embedder, images, expected, tmp_path, monkeypatch):
    """Killed while it embeds, then while it merges, and ended by a third call: nothing is made twice."""
    out = tmp_path / 'f.safetensors'
    dying = _Dies(embedder.model, embedder.source)
    assert forked(lambda: extract(images, modality(images), dying, out, **SMALL) and 0) == -signal.SIGKILL
    parts = parts_folder(out)
    first = sorted(parts.glob('0*.safetensors'))
    assert [file.name for file in first] == ['000000.safetensors', '000001.safetensors', '000002.safetensors']
    (parts / '.000003.safetensors.abcdefgh.safetensors').write_bytes(b'half')  # as a kill while writing leaves
    made = {file: file.stat().st_mtime_ns for file in first}

    def merge_and_die():
        write = module.write_stream
        monkeypatch.setattr(
            module, 'write_stream', lambda path, stream: write(path, stream._replace(blocks=_die_merging(stream))))
        extract(images, modality(images), embedder, out, **SMALL)

    assert forked(merge_and_die) == -signal.SIGKILL
    assert {file: file.stat().st_mtime_ns for file in first} == made
    assert len(list(parts.glob('*.safetensors'))) == 5
    assert not out.exists() and len(list(tmp_path.glob('.f.safetensors.*'))) == 1  # half a result
    monkeypatch.setattr(embedder, 'embed', lambda *args: pytest.fail('nothing is left to embed'))
    extract(images, modality(images), embedder, out, **SMALL)
    assert out.read_bytes() == expected.read_bytes()
    assert os.listdir(tmp_path) == [out.name]


def test_killed_between_result_and_cleaning(embedder, images, expected, tmp_path, monkeypatch):
    out = tmp_path / 'f.safetensors'
    monkeypatch.setattr(module.ShardFolder, 'remove', lambda self: None)
    extract(images, modality(images), embedder, out, **SMALL)
    assert out.exists() and parts_folder(out).exists()
    monkeypatch.undo()
    extract(images, modality(images), embedder, out, **SMALL)
    assert out.read_bytes() == expected.read_bytes() and not parts_folder(out).exists()


@pytest.fixture
def begun(embedder, images, tmp_path, monkeypatch):
    """An extraction that was interrupted."""
    out = tmp_path / 'f.safetensors'

    def interrupt(self, images, modality):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(Embedder, 'embed', interrupt)
    with pytest.raises(KeyboardInterrupt):
        extract(images, modality(images), embedder, out, **SMALL)
    return out


def test_other_extractions_are_not_mixed(begun, embedder, images, tmp_path, saved):
    other = load_embedder(str(small_model(tmp_path / 'other', seed=1)))
    flipped = load_embedder(f'local-dir:{saved}', flip=True)
    numbers = modality(images)
    for args, message in (
            ((images, numbers, other), 'another extraction .*fingerprint was'),
            ((images, numbers, flipped), 'another extraction .*flip was false and is true'),
            ((images[:-1], numbers[:-1], embedder), 'images was 40 and is 39'),
            ((images[::-1], numbers, embedder), 'another extraction .*list was'),
            ((images, 1 - numbers, embedder), 'another extraction .*list was')):
        with pytest.raises(ValueError, match=message):
            extract(*args, begun, **SMALL)
    with pytest.raises(ValueError, match='batch_size was 4 and is 5; shard_images was 8 and is 10'):
        extract(images, numbers, embedder, begun, **{**SMALL, 'batch_size': 5})
    shutil.copytree(saved, tmp_path / 'moved')  # the same model elsewhere goes on
    extract(images, numbers, load_embedder(str(tmp_path / 'moved')), begun, **SMALL)


def test_who_works_there_is_alone(begun, embedder, images):
    shards = module.ShardFolder(parts_folder(begun), 40, 8)
    with shards.opened(module._manifest(module._Job(
            images, modality(images), embedder, begun, begun, 4, 0, 'skip'), 8)):
        assert forked(lambda: _message(images, embedder, begun)) == 3


def _message(images, embedder, out):
    try:
        extract(images, modality(images), embedder, out, **SMALL)
    except RuntimeError as error:
        return 3 if 'Another process works in' in str(error) else 4
    return 5


def test_damaged_shard_is_named(begun, embedder, images):
    parts = parts_folder(begun)
    (parts / '000001.safetensors').write_bytes(b'damaged')
    with pytest.raises(ValueError, match='000001.safetensors" is damaged .*remove it, and the same command'):
        extract(images, modality(images), embedder, begun, **SMALL)


def test_foreign_folder_is_left_alone(embedder, images, tmp_path):
    out = tmp_path / 'f.npz'
    parts_folder(out).mkdir()
    (parts_folder(out) / 'mine.txt').write_text('x')
    with pytest.raises(ValueError, match='is not of an extraction'):
        extract(images, modality(images), embedder, out, **SMALL)
    assert (parts_folder(out) / 'mine.txt').read_text() == 'x'


def test_result_is_not_overwritten(embedder, images, tmp_path):
    (tmp_path / 'f.npz').write_bytes(b'precious')
    with pytest.raises(FileExistsError, match='exists already: give another --out'):
        extract(images, modality(images), embedder, tmp_path / 'f.npz', **SMALL)
    assert (tmp_path / 'f.npz').read_bytes() == b'precious' and os.listdir(tmp_path) == ['f.npz']


@pytest.fixture
def broken(tmp_path):
    """20 images, of which a whole batch (4-7), a cut one (9) and a missing one (13) cannot be read."""
    paths = write_images(tmp_path / 'visible', [f'{i:02d}.png' for i in range(20)])
    for row in range(4, 8):
        Path(paths[row]).write_bytes(b'no image')
    Path(paths[9]).write_bytes(Path(paths[9]).read_bytes()[:-600])
    Path(paths[13]).unlink()
    return paths


@pytest.mark.parametrize('workers', [0, 1])
def test_unreadable_images_are_skipped_and_listed(broken, embedder, tmp_path, workers):
    out, numbers = tmp_path / 'f.npz', np.arange(20, dtype=np.int8) % 3 - 1
    done = extract(broken, numbers, embedder, out, **{**SMALL, 'workers': workers})
    assert (done.images, done.skipped) == (14, 6)
    found = read_features(out)
    good = [row for row in range(20) if row not in (4, 5, 6, 7, 9, 13)]
    assert found.paths == [broken[row] for row in good] and found.metadata['skipped'] == '6'
    np.testing.assert_array_equal(found.modality, numbers[good])
    alone = extract([broken[14]], numbers[14:15], embedder, tmp_path / 'one.npz', **SMALL)
    np.testing.assert_allclose(
        found.embeddings[good.index(14)], read_features(alone.out).embeddings[0], atol=1e-6)
    with open(f'{out}.errors.csv', newline='', encoding='utf-8') as file:
        listed = list(csv.DictReader(file))
    assert [line['path'] for line in listed] == [broken[row] for row in (4, 5, 6, 7, 9, 13)]
    assert 'cannot identify image file' in listed[0]['reason'] and 'No such file' in listed[-1]['reason']


def test_fatal_by_choice_and_continued_after_the_repair(broken, embedder, tmp_path):
    out = tmp_path / 'f.npz'
    with pytest.raises(DatasetError, match=f'Cannot read the image "{broken[4]}": cannot identify'):
        extract(broken, modality(broken), embedder, out, on_error='fail', **SMALL)
    assert not out.exists()
    for row in (4, 5, 6, 7, 9, 13):
        shutil.copy(broken[0], broken[row])
    assert extract(broken, modality(broken), embedder, out, on_error='fail', **SMALL).images == 20
    assert not Path(f'{out}.errors.csv').exists()


def test_fail_looks_again_at_what_was_skipped(broken, embedder, tmp_path, monkeypatch):
    out = tmp_path / 'f.npz'
    monkeypatch.setattr(module, 'write_stream', lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        extract(broken, modality(broken), embedder, out, **SMALL)
    monkeypatch.undo()
    with pytest.raises(DatasetError, match='Cannot read the image'):
        extract(broken, modality(broken), embedder, out, on_error='fail', **SMALL)


def test_nothing_readable(embedder, tmp_path):
    for name in ('a.png', 'b.png'):
        (tmp_path / name).write_bytes(b'')
    paths = [str(tmp_path / name) for name in ('a.png', 'b.png')]
    with pytest.raises(DatasetError, match=f'None of the 2 images can be read; .*errors.csv" .*"{paths[0]}": cannot'):
        extract(paths, np.zeros(2, np.int8), embedder, tmp_path / 'f.npz', **SMALL)
    assert sorted(os.listdir(tmp_path)) == ['a.png', 'b.png', 'f.npz.errors.csv']


def test_older_list_of_errors_is_replaced(embedder, images, tmp_path):
    errors = tmp_path / 'bad.csv'
    errors.write_text('path,reason\nold.jpg,old\n')
    extract(images[:2], modality(images[:2]), embedder, tmp_path / 'f.npz', errors=errors, **SMALL)
    assert errors.read_text() == 'path,reason\n'


def test_full_disk_leaves_no_result_and_what_was_done(embedder, images, expected, tmp_path):
    """By a limit of a file's size, between that of a shard and that of the result."""
    resource = pytest.importorskip('resource')
    out, message = tmp_path / 'f.safetensors', tmp_path / 'message'

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            extract(images, modality(images), embedder, out, **SMALL)
        except OSError as error:
            message.write_text(str(error))
            return 3
        return 4

    assert forked(limited) == 3
    assert f'is in "{parts_folder(out)}": make room, and the same command goes on' in message.read_text()
    assert sorted(os.listdir(tmp_path)) == ['f.safetensors.parts', 'message']
    extract(images, modality(images), embedder, out, **SMALL)
    assert out.read_bytes() == expected.read_bytes()


def test_too_small_a_disk_is_noticed_before(embedder, images, tmp_path, monkeypatch):
    monkeypatch.setattr(embedder, 'dims', 10 ** 12)
    with pytest.raises(OSError, match=r'320000\.0 GB are needed beside .* but .* GB are free'):
        extract(images, modality(images), embedder, tmp_path / 'f.npz', **SMALL)


def test_weights_that_give_nan(embedder, images, tmp_path):
    with torch.no_grad():
        embedder.model.stem.infrared.conv1.weight[0, 0, 0, 0] = float('nan')
    with pytest.raises(FloatingPointError, match=f'The embedding of "{images[1]}" holds NaN'):
        extract(images, modality(images), embedder, tmp_path / 'f.npz', **SMALL)


def test_wrong_arguments(embedder, images, tmp_path):
    numbers = modality(images)
    for args, kwargs, message in (
            ((images, numbers, embedder, 'f.pt'), {}, 'features are kept in files that end in'),
            ((images[:2], numbers, embedder, 'f.npz'), {}, '2 paths, 2 of them different, and 40 modalities'),
            ((images[:1] * 40, numbers, embedder, 'f.npz'), {}, '40 paths, 1 of them different'),
            (([], numbers[:0], embedder, 'f.npz'), {}, 'at least one image'),
            ((images, numbers, embedder, 'f.npz'), dict(on_error='stop'), "on_error is 'stop'"),
            ((images, numbers, embedder, 'f.npz'), dict(batch_size=0), 'batch_size is 0'),
            ((images, numbers, embedder, 'f.npz'), dict(workers=-1), 'workers is -1'),
            ((images, numbers, embedder, 'f.npz'), dict(shard_images=0), 'shard_images is 0'),
            ((images, numbers, embedder, 'f.npz'), dict(errors='f.npz'), 'cannot hold both')):
        with pytest.raises(ValueError, match=message):
            extract(*args, **kwargs)


@pytest.mark.parametrize('dims, batch, asked, expected', [
    (20480, 64, None, 384), (256, 64, None, 4096), (20480, 1000, None, 1000), (8, 100, None, 4000),
    (8, 4, 9, 12), (8, 64, 1, 64)])
def test_shards_are_whole_batches_and_small(dims, batch, asked, expected):
    assert module._shard_size(dims, batch, asked) == expected


def test_list_entries_fit(images):
    """`modalities_of` makes what `extract` takes."""
    from fdnm_timm.extraction.images import Listed
    found = modalities_of([Listed(path) for path in images])
    assert found.dtype == np.int8 and np.array_equal(found, modality(images))
