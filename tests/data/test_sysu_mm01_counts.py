"""SYSU-MM01's real numbers: a tree with as many images as rand_perm_cam.mat orders, all links to one tiny picture."""
import os
import random
import shutil
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from fdnm_timm.data import INFRARED, SYSUMM01, CountWarning, ImageItems, hold_out

EXP = Path(__file__).parents[2].parent / 'shared' / 'data' / 'sysu_mm01' / 'exp'
pytestmark = pytest.mark.skipif(not (EXP / 'rand_perm_cam.mat').exists(), reason=f'there is no "{EXP}"')
GALLERIES = {('all', 1): 301, ('all', 10): 3010, ('indoor', 1): 112, ('indoor', 10): 1120}
CAMERAS = {'all': (1, 2, 4, 5), 'indoor': (1, 2)}


def orders() -> Dict[Tuple[int, int], np.ndarray]:
    """(trials, images) of each (pid, camid), read from the file without the package."""
    cells = loadmat(EXP / 'rand_perm_cam.mat')['rand_perm_cam']
    return {
        (pid, camid): cell[0] for camid, camera in enumerate(cells[:, 0], 1) for pid, cell in enumerate(camera, 1)
        if cell[0].shape[1]}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('real') / 'SYSU-MM01'
    shutil.copytree(EXP, root / 'exp', copy_function=shutil.copyfile)
    (root / 'exp').chmod(0o755)
    picture = root / 'picture.jpg'
    Image.new('RGB', (8, 16), (90, 60, 30)).save(picture)
    source = str(picture)
    for (pid, camid), order in orders().items():
        folder = f'{root}/cam{camid}/{pid:04d}'
        os.makedirs(folder)
        for n in range(1, order.shape[1] + 1):
            target = f'{folder}/{n:04d}.jpg'
            try:
                os.link(source, target)
            except OSError:  # no links here, or no more of one file
                shutil.copyfile(source, target)
                source = target
    yield root
    shutil.rmtree(root)  # 45,000 files: not to be kept as pytest keeps the rest


@pytest.fixture(scope='module')
def dataset(root) -> SYSUMM01:
    return SYSUMM01(root)


@pytest.fixture(scope='module')
def official(root) -> SYSUMM01:
    return SYSUMM01(root, gallery_draw='official')


@pytest.fixture(scope='module', params=['agw', 'official'])
def either(request, dataset, official) -> SYSUMM01:
    return {'agw': dataset, 'official': official}[request.param]


def test_training_set(dataset):
    assert len(dataset.train_names) == 395
    infrared = [record for record in dataset.train if record[2] in (3, 6)]
    assert (len(dataset.train) - len(infrared), len(infrared)) == (22258, 11909)
    assert sum(dataset.modality(path) == INFRARED for path, _, _ in dataset.train) == 11909


def test_queries(dataset):
    assert len(dataset.query) == 3803
    assert len({pid for _, pid, _ in dataset.test}) == 96


def test_galleries(either):
    for (mode, shots), expected in GALLERIES.items():
        for trial in range(10):
            gallery = either.draw_gallery(mode, shots, trial)
            assert len(gallery) == len(set(gallery)) == expected
            assert set(Counter((pid, camid) for _, pid, camid in gallery).values()) == {shots}
            assert {camid for _, _, camid in gallery} == set(CAMERAS[mode])
            assert gallery == either.draw_gallery(mode, shots, trial)


def test_indoor_queries_with_a_match(either):
    """A query of camera 3 skips camera 2, which stands in the same room."""
    seen = {(pid, camid) for _, pid, camid in either.draw_gallery('indoor', 1, 0)}
    assert sum((pid, 1) in seen or (camid == 6 and (pid, 2) in seen) for _, pid, camid in either.query) == 2208


def test_official_draw_is_the_files(official):
    files, test = orders(), sorted(loadmat(EXP / 'test_id.mat')['id'].ravel().tolist())
    for mode, cameras in CAMERAS.items():
        for shots in (1, 10, 1000):
            for trial in (0, 3, 9):
                expected = []
                for camid in cameras:
                    for pid in test:
                        for number in files.get((pid, camid), np.empty((10, 0), int))[trial, :shots]:
                            expected.append((str(official.root / f'cam{camid}/{pid:04d}/{number:04d}.jpg'), pid, camid))
                assert official.draw_gallery(mode, shots, trial) == expected


def test_agw_draw_is_the_agw_familys(dataset):
    state = random.getstate()
    try:
        for mode, cameras in CAMERAS.items():
            random.seed(7)
            expected = [
                random.choice(sorted(str(path) for path in folder.iterdir()))
                for pid in sorted({pid for _, pid, _ in dataset.test}) for camid in cameras
                if (folder := dataset.root / f'cam{camid}' / f'{pid:04d}').is_dir()]
            assert [path for path, _, _ in dataset.draw_gallery(mode, 1, 7)] == expected
    finally:
        random.setstate(state)


def test_counts_are_the_published(either):
    counts = either.counts()
    assert {name: counts[name] for name in SYSUMM01.published} == SYSUMM01.published


def test_held_out(official):
    split = hold_out(official, 4)
    assert len(split.train_names) == 395 - 98
    assert split.draw_gallery('all', 1, 2)
    assert not {pid for _, pid, _ in split.draw_gallery()} & {pid for _, pid, _ in official.test}


def test_time_and_memory_of_reading(root, recwarn):
    start = time.perf_counter()
    SYSUMM01(root, gallery_draw='official')
    seconds = time.perf_counter() - start
    assert not [warning for warning in recwarn if warning.category is CountWarning]
    tracemalloc.start()
    try:
        dataset = SYSUMM01(root)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    print(f'\nread in {seconds:.2f} s, kept {kept / 1e6:.1f} MB, peak {peak / 1e6:.1f} MB')
    assert dataset.train
    assert seconds < 20 and peak < 60e6


def test_memory_does_not_grow_with_the_images(dataset):
    """At 8 x 16 pixels a held image is some 400 bytes of pixels and twice that of Python objects."""
    items = ImageItems(dataset.train, dataset)
    kept: List[Any] = []

    def held(places) -> int:
        tracemalloc.start()
        try:
            for place in places:
                kept[:] = [items[place]]
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    held(range(50))  # whatever is made once
    few, many = held(range(50, 150)), held(range(150, 4150))
    assert many - few < 100e3
    assert many < 300e3
