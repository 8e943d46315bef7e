import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any, Callable, List

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from fdnm_timm.config import ConfigError, load_config
from fdnm_timm.data import (
    SYSUMM01,
    CrossModalityDataset,
    DatasetError,
    ImageItems,
    RoadScene,
    build_test_transform,
    build_train_transform,
    hold_out,
)
from fdnm_timm.data import cache as cache_module
from fdnm_timm.data.cache import ImageCache, open_cache, split_transform
from fdnm_timm.engine import CrossModalityDataManager

from .test_roadscene import write_pairs

HEIGHT, WIDTH = 32, 16
TEST = build_test_transform(HEIGHT, WIDTH)


@pytest.fixture
def tree(sysu_tree, tmp_path) -> Path:
    """A copy of the small data set, which a test may change."""
    return Path(shutil.copytree(sysu_tree, tmp_path / 'SYSU-MM01'))


@pytest.fixture
def dataset(tree) -> SYSUMM01:
    return SYSUMM01(tree)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / 'caches'


def inode(cache: ImageCache) -> int:
    """Tells a cache that was built anew from the one whose place it took."""
    return os.stat(cache.file).st_ino


def child(job: Callable[[], Any]) -> Any:
    """What `job` returns in a process of its own, or the exception that it raises."""
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)

    def _run() -> None:
        try:
            sender.send(job())
        except Exception as error:
            sender.send(error)

    process = context.Process(target=_run)
    process.start()
    result = receiver.recv()
    process.join()
    return result


# ------------------------------------------------------------------------------------ the same items

@pytest.mark.parametrize('form', [{}, {'margin': 4, 'channels': 1, 'mean': (0.5,), 'std': (0.5,)}], ids=['', 'grey'])
def test_items_are_the_same(dataset, folder, form):
    train = build_train_transform(HEIGHT, WIDTH, pad=4, **form)
    test = build_test_transform(HEIGHT, WIDTH, **form)
    cache = open_cache(folder, dataset, test)
    for records, transform in ((dataset.train, train), (dataset.test, test)):
        plain, cached = ImageItems(records, dataset, transform), ImageItems(records, dataset, transform, cache=cache)
        for place in range(len(records)):
            expected, found = plain[place, place * 7], cached[place, place * 7]
            assert torch.equal(found.pop('img'), expected.pop('img'))
            assert found == expected
    assert len(cache) == len(dataset.train) + len(dataset.test)


def test_views_of_one_picture_are_apart(folder, tmp_path):
    dataset = RoadScene(write_pairs(tmp_path / 'with#sign' / 'roadscene'))
    cache = open_cache(folder, dataset, TEST, threads=3)
    plain, cached = (ImageItems(dataset.train, dataset, TEST, cache=c) for c in (None, cache))
    images = [item['img'] for item in plain]
    assert all(torch.equal(cached[place]['img'], image) for place, image in enumerate(images))
    assert len({image.numpy().tobytes() for image in images}) > len(images) / 2


@pytest.mark.timeout(60)
def test_loaders_give_what_they_give_without(tree, folder):
    form: dict = dict(root=str(tree), sources='sysu_mm01', height=HEIGHT, width=WIDTH, num_ids=4, num_instances=2)
    plain = CrossModalityDataManager(workers=0, **form)
    cached = CrossModalityDataManager(workers=2, cache=str(folder), **form)
    expected = [list(loader) for loader in (plain.train_loader, plain.test_loader['sysu_mm01']['gallery'])]
    for file in tree.rglob('*.jpg'):
        file.write_bytes(b'')  # from here on, the images come from the cache
    found = [list(loader) for loader in (cached.train_loader, cached.test_loader['sysu_mm01']['gallery'])]
    for one, other in zip(sum(expected, []), sum(found, []), strict=True):
        assert torch.equal(one['img'], other['img']) and one['impath'] == other['impath']
    assert not plain.caches and list(cached.caches) == ['sysu_mm01']
    with pytest.raises(DatasetError, match='Cannot read the image'):
        next(iter(plain.train_loader))


def test_off_by_default():
    assert load_config().data.cache is None
    assert load_config(settings=['data.cache=/fast/disk']).data.cache == '/fast/disk'
    with pytest.raises(ConfigError, match='data.cache'):
        load_config(settings=['data.cache=3'])


def test_file_is_safetensors(dataset, folder):
    cache = open_cache(folder, dataset, TEST)
    images = load_file(cache.file)['images']
    assert images.shape == (len(cache), HEIGHT, WIDTH, 3) and images.dtype == np.uint8
    for place, path in enumerate([path for path, _, _ in dataset.train][:5]):
        assert np.array_equal(images[place], np.asarray(TEST.transforms[0](dataset.load(path))))
        assert np.array_equal(images[place], np.asarray(cache.load(path)))
    again = pickle.loads(pickle.dumps(cache))  # as for workers that are not forked
    assert again.load(path).tobytes() == cache.load(path).tobytes()


# -------------------------------------------------------------------------- whether a cache is still good

def test_good_cache_is_taken_as_it_is(dataset, folder, tree):
    cache = open_cache(folder, dataset, TEST)
    before = inode(cache)
    lock = cache.file.with_suffix('.lock')
    lock.unlink()
    for other in (dataset, SYSUMM01(tree), SYSUMM01(tree.parent), hold_out(dataset, 2)):
        assert inode(open_cache(folder, other, build_train_transform(HEIGHT, WIDTH))) == before
    assert not lock.exists()  # nothing is written: a folder that can only be read is enough
    assert [file.name for file in folder.iterdir()] == [cache.file.name]


def rewrite(path: Path) -> None:
    stat = path.stat()
    path.write_bytes(path.read_bytes() + b'\0')
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def touch(path: Path) -> None:
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1000))


@pytest.mark.parametrize('change', [rewrite, touch])
@pytest.mark.parametrize('part', ['train', 'test'])
def test_changed_image_makes_it_anew(dataset, folder, change, part):
    cache = open_cache(folder, dataset, TEST)
    before = inode(cache)
    change(Path(getattr(dataset, part)[-1][0]))
    assert inode(open_cache(folder, dataset, TEST)) != before
    assert len(list(folder.glob('*.safetensors'))) == 1


def test_new_pixels_are_seen_and_the_old_ones_stay_with_who_has_them(dataset, folder):
    path = dataset.train[3][0]
    old = open_cache(folder, dataset, TEST)
    before = old.load(path)
    Image.new('RGB', (24, 48), (200, 10, 10)).save(path)
    now = open_cache(folder, dataset, TEST).load(path)
    expected = TEST.transforms[0](dataset.load(path))
    assert now.tobytes() == expected.tobytes() != before.tobytes() == old.load(path).tobytes()


def test_cache_is_not_mixed_with_the_one_that_took_its_place(dataset, folder):
    pickled = pickle.dumps(open_cache(folder, dataset, TEST))
    touch(Path(dataset.train[0][0]))
    open_cache(folder, dataset, TEST)
    with pytest.raises(DatasetError, match='made anew while it was in use'):
        pickle.loads(pickled)


def test_more_images_make_it_anew(dataset, folder):
    part = hold_out(dataset, 2)
    part.test, part.query, part.gallery = [], [], []
    few = open_cache(folder, part, TEST)
    before = inode(few)
    all_of_them = open_cache(folder, dataset, TEST)
    assert len(few) == len(part.train) < len(all_of_them) and inode(all_of_them) != before
    assert inode(open_cache(folder, part, TEST)) == inode(all_of_them)


def test_each_size_and_root_has_its_own(dataset, folder, sysu_tree):
    caches = [
        open_cache(folder, dataset, TEST), open_cache(folder, dataset, build_test_transform(HEIGHT, WIDTH, margin=2)),
        open_cache(folder, dataset, build_test_transform(HEIGHT, WIDTH, channels=1, mean=(0.,), std=(1.,))),
        open_cache(folder, SYSUMM01(sysu_tree), TEST)]
    assert len({cache.file for cache in caches}) == len(caches) == len(list(folder.glob('*.safetensors')))


@pytest.mark.parametrize('name', ['_makers', '_FORMAT'])
def test_another_version_makes_it_anew(dataset, folder, monkeypatch, name):
    before = inode(open_cache(folder, dataset, TEST))
    monkeypatch.setattr(cache_module, name, {'_makers': lambda: ['Pillow 1'], '_FORMAT': 2}[name])
    assert inode(open_cache(folder, dataset, TEST)) != before


@pytest.mark.parametrize('content', [b'', b'no cache', None])
def test_damaged_file_is_made_anew(dataset, folder, content):
    file = open_cache(folder, dataset, TEST).file
    whole = file.read_bytes()
    file.write_bytes(whole[:-100] if content is None else content)
    open_cache(folder, dataset, TEST)
    assert file.read_bytes() == whole


# ---------------------------------------------------------------------------------- several processes

class Slow(SYSUMM01):
    """Counts what is decoded, and waits in the middle of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.loaded: List[str] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def load(self, path: str) -> Image.Image:
        self.loaded.append(path)
        if len(self.loaded) == 10:
            self.begun.set()
            assert self.go_on.wait(30)
        return super().load(path)


@pytest.mark.timeout(60)
def test_second_builder_waits_for_the_first(tree, folder, capfd):
    first, second = Slow(tree), Slow(tree)
    caches = {}

    def _open(name: str, dataset: Slow) -> None:
        caches[name] = open_cache(folder, dataset, TEST, progress=True)

    threads = [threading.Thread(target=_open, args=args) for args in (('first', first), ('second', second))]
    threads[0].start()
    assert first.begun.wait(30)
    threads[1].start()
    deadline = time.monotonic() + 30
    err = ''
    while 'Another process builds' not in err and time.monotonic() < deadline:
        time.sleep(0.02)
        err += capfd.readouterr().err
    assert 'Another process builds' in err
    first.go_on.set()
    for thread in threads:
        thread.join(30)
    assert second.loaded == [] and inode(caches['first']) == inode(caches['second'])
    assert len(caches['second']) == len(first.loaded) - 1  # the first image is read once more, for its shape


@pytest.mark.timeout(60)
def test_processes_that_build_at_once(dataset, folder):
    context = multiprocessing.get_context('fork')
    barrier, inodes = context.Barrier(3), context.Queue()

    def _open() -> None:
        barrier.wait(30)
        inodes.put(inode(open_cache(folder, dataset, TEST)))

    processes = [context.Process(target=_open) for _ in range(3)]
    for process in processes:
        process.start()
    assert len({inodes.get(timeout=30) for _ in processes}) == 1
    for process in processes:
        process.join()
    assert sorted(file.suffix for file in folder.iterdir()) == ['.lock', '.safetensors']


@pytest.mark.timeout(60)
def test_killed_builder_leaves_nothing_for_ever(tree, folder):
    slow = Slow(tree)
    process = multiprocessing.get_context('fork').Process(target=open_cache, args=(folder, slow, TEST))
    process.start()
    deadline = time.monotonic() + 30
    while not list(folder.glob('.*')) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(list(folder.glob('.*'))) == 1
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    dataset = SYSUMM01(tree)
    assert len(open_cache(folder, dataset, TEST)) == len(dataset.train) + len(dataset.test)
    assert sorted(file.suffix for file in folder.iterdir()) == ['.lock', '.safetensors']


# --------------------------------------------------------------------------------------------- errors

def test_full_disk_is_said_before(dataset, folder, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(OSError, match=r'Cannot write the cache .*MiB are needed, but 0 MiB are free.*Make room'):
        open_cache(folder, dataset, TEST)
    assert not list(folder.glob('*.safetensors'))


def test_disk_that_fills_up_on_the_way(dataset, folder):
    """The write fails for real, by a limit on file sizes."""
    def _limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        open_cache(folder, dataset, TEST)

    error = child(_limited)
    assert isinstance(error, OSError) and 'Cannot write the cache' in str(error) and 'data.cache' in str(error)
    assert [file.suffix for file in folder.iterdir()] == ['.lock']


def test_folder_that_cannot_be_made(dataset, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='Cannot write the cache .*file/caches'):
        open_cache(tmp_path / 'file' / 'caches', dataset, TEST)


def test_unreadable_image_ends_with_its_name(dataset, folder):
    path = Path(dataset.train[5][0])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match=path.name) as caught:
        open_cache(folder, dataset, TEST)
    assert str(path) in str(caught.value)
    assert [file.suffix for file in folder.iterdir()] == ['.lock']
    path.unlink()
    with pytest.raises(DatasetError, match='Cannot cache the image'):
        open_cache(folder, dataset, TEST)


def test_what_does_not_fit(dataset, folder):
    cache = open_cache(folder, dataset, TEST)
    with pytest.raises(ValueError, match='open a cache of that form'):
        ImageItems(dataset.train, dataset, build_test_transform(HEIGHT, WIDTH, margin=2), cache=cache)
    for transform in (None, TEST.transforms[1], type(TEST)(TEST.transforms[1:])):
        with pytest.raises(ValueError, match='first resizes to a fixed'):
            split_transform(transform)
    with pytest.raises(ValueError, match='threads is 0'):
        open_cache(folder, dataset, TEST, threads=0)
    with pytest.raises(DatasetError, match='is not in the cache'):
        cache.load(str(dataset.root / 'cam1' / '9999' / '0001.jpg'))
    dataset.train = dataset.test = dataset.query = dataset.gallery = []
    with pytest.raises(DatasetError, match='no images to cache'):
        open_cache(folder, dataset, TEST)


def test_everything_random_comes_after_the_resize():
    for transform in (build_train_transform(HEIGHT, WIDTH, margin=4), TEST):
        form, rest = split_transform(transform)
        assert form + rest == transform.transforms
        image = Image.fromarray(np.random.default_rng(0).integers(256, size=(40, 30, 3), dtype=np.uint8))
        results = []
        for seed in range(5):
            torch.manual_seed(seed)
            state = torch.get_rng_state()
            results.append(type(transform)(form)(image))
            assert torch.equal(torch.get_rng_state(), state)
        assert all(result == results[0] for result in results)


# --------------------------------------------------------------------------------------------- memory

class Views(CrossModalityDataset):
    """So many images without so many files: each record is a view of one file."""
    name = 'views'

    def __init__(self, file: Path, number: int) -> None:
        self.root = file.parent
        self.train = [(f'{file}#{place}', 0, 0) for place in range(number)]
        self.test, self.query, self.gallery = [], [], []

    def load(self, path: str) -> Image.Image:
        return Image.new('RGB', (128, 256), (int(path.rpartition('#')[2]) % 256, 0, 0))


def peak_growth(number: int, folder: Path, file: Path) -> float:
    """MB that a process grows by while it builds a cache and reads all of it, mapped pages left out."""
    def _memory(key: str) -> float:
        lines = Path('/proc/self/status').read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f'{key}:')) / 1000

    before = _memory('VmRSS')
    dataset = Views(file, number)
    transform = build_test_transform(256, 128)
    cache = open_cache(folder, dataset, transform)
    built = _memory('VmHWM') - before
    before = _memory('RssAnon')
    items = ImageItems(dataset.train, dataset, transform, cache=cache)
    items.dataset.modality = lambda path: 0  # type: ignore[method-assign]
    for place in range(number):
        items[place]
    return max(built, _memory('RssAnon') - before)


@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='needs Linux')
def test_memory_does_not_grow_with_the_data_set(tmp_path):
    file = tmp_path / 'file'
    file.write_text('')
    small, large = (
        child(lambda number=number: peak_growth(number, tmp_path / str(number), file)) for number in (150, 1200))
    assert large - small < 0.2 * (1200 - 150) * 256 * 128 * 3 / 1e6, (small, large)
