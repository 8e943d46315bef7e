import random
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import torch
from PIL import Image

from fdnm_timm.data import (
    INFRARED,
    SYSUMM01,
    VISIBLE,
    CrossModalityIdentitySampler,
    DatasetError,
    ImageItems,
    build_test_transform,
    build_train_transform,
    read_image,
)

HEIGHT, WIDTH = 32, 16
KEYS = ['img', 'pid', 'camid', 'impath', 'dsetid', 'modality']


@pytest.fixture(scope='module')
def dataset(sysu_tree: Path) -> SYSUMM01:
    return SYSUMM01(sysu_tree)


@pytest.fixture(scope='module')
def items(dataset) -> ImageItems:
    """The training records, with every augmentation."""
    return ImageItems(dataset.train, dataset, build_train_transform(HEIGHT, WIDTH, pad=4))


def batches(items: ImageItems, dataset: SYSUMM01, workers: int, epoch: int = 0) -> List[Dict[str, Any]]:
    modalities = [dataset.modality(path) for path, _, _ in dataset.train]
    sampler = CrossModalityIdentitySampler(dataset.train, modalities, num_ids=4, num_instances=2, seed=5)
    sampler.set_epoch(epoch)
    return list(torch.utils.data.DataLoader(items, batch_size=sampler.batch_size, sampler=sampler, num_workers=workers))


def same(one: List[Dict[str, Any]], other: List[Dict[str, Any]]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a[key], b[key]) if isinstance(a[key], torch.Tensor) else a[key] == b[key]
        for a, b in zip(one, other, strict=True) for key in KEYS)


def test_keys_and_values(dataset):
    items = ImageItems(dataset.query, dataset, build_test_transform(HEIGHT, WIDTH), dsetid=3)
    assert len(items) == len(dataset.query)
    for place in (0, len(items) - 1):
        item = items[place]
        assert sorted(item) == sorted(KEYS)
        assert (item['impath'], item['pid'], item['camid']) == dataset.query[place]
        assert item['dsetid'] == 3 and item['modality'] == INFRARED
        assert item['img'].shape == (3, HEIGHT, WIDTH) and item['img'].dtype == torch.float32
    assert ImageItems(dataset.gallery, dataset)[0]['modality'] == VISIBLE
    assert ImageItems(dataset.gallery, dataset)[0]['dsetid'] == 0


def test_test_transform_is_resizing_and_normalising(dataset):
    """Against the definition, on an image of the wanted size, so that resizing changes nothing."""
    path = dataset.query[0][0]
    with Image.open(path) as image:
        pixels = np.asarray(image.convert('RGB')) / 255
    expected = (pixels - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    found = ImageItems(dataset.query, dataset, build_test_transform(*pixels.shape[:2]))[0]['img']
    assert torch.allclose(found, torch.tensor(expected).permute(2, 0, 1).float(), atol=1e-6)


@pytest.fixture(scope='module')
def ramp() -> Image.Image:
    """20 x 20 pixels, no two alike, of several colours."""
    rows, columns = np.mgrid[:20, :20]
    return Image.fromarray(np.stack([5 * rows, 5 * columns, rows + columns], axis=-1).astype(np.uint8))


def test_margin_is_cut_off_at_random_or_all_around(ramp):
    plain = dict(height=16, width=16, margin=4, mean=(0.,) * 3, std=(1.,) * 3)
    whole = torch.tensor(np.asarray(ramp)).permute(2, 0, 1) / 255
    torch.testing.assert_close(build_test_transform(**plain)(ramp), whole[:, 2:18, 2:18])
    torch.manual_seed(0)
    transform = build_train_transform(pad=0, flip=0, grayscale=0, erasing=0, **plain)
    corners = set()
    for _ in range(40):
        crop = transform(ramp)
        top, left = (round(255 * float(value) / 5) for value in crop[:2, 0, 0])
        torch.testing.assert_close(crop, whole[:, top:top + 16, left:left + 16])
        corners.add((top, left))
    assert {top for top, _ in corners} == {left for _, left in corners} == set(range(5))


def test_grey_images_have_one_channel(ramp):
    form = dict(height=20, width=20, channels=1, mean=(0.,), std=(1.,))
    grey = torch.tensor(np.asarray(ramp.convert('L')))[None] / 255
    torch.testing.assert_close(build_test_transform(**form)(ramp), grey)
    torch.testing.assert_close(build_train_transform(pad=0, flip=0, grayscale=1, erasing=0, **form)(ramp), grey)
    with pytest.raises(ValueError, match='channels is 2'):
        build_test_transform(**{**form, 'channels': 2})


def test_without_a_transform_the_image_itself(dataset):
    image = ImageItems(dataset.train, dataset)[0]['img']
    assert isinstance(image, Image.Image) and image.mode == 'RGB' and image.size == (24, 48)


def test_seed_makes_the_augmentation(items):
    first = items[2, 17]['img']
    torch.manual_seed(123)
    assert torch.equal(items[2, 17]['img'], first)
    others = [items[2, seed]['img'] for seed in (18, 19, 2 ** 63 - 1)]
    assert not any(torch.equal(other, first) for other in others)


def test_seeds_reach_every_augmentation(dataset):
    """Each random step alone: some seeds give it, some do not, and the same seed gives the same."""
    off = dict(height=48, width=24, pad=0, flip=0., grayscale=0., erasing=0.)
    plain = ImageItems(dataset.train, dataset, build_train_transform(**off))[0, 0]['img']
    for changed in ({'pad': 4}, {'flip': 0.5}, {'grayscale': 0.5}, {'erasing': 0.5}):
        items = ImageItems(dataset.train, dataset, build_train_transform(**{**off, **changed}))
        images = [items[0, seed]['img'] for seed in range(20)]
        differing = [not torch.equal(image, plain) for image in images]
        assert sum(differing) >= 4, changed
        assert 'pad' in changed or sum(differing) <= 16, changed
        assert all(torch.equal(items[0, seed]['img'], image) for seed, image in enumerate(images)), changed


def test_plain_index(items, dataset):
    torch.manual_seed(0)
    first = items[4]
    assert (first['impath'], first['pid'], first['camid']) == dataset.train[4]
    assert not torch.equal(items[4]['img'], first['img'])  # goes on in torch's own stream
    torch.manual_seed(0)
    assert torch.equal(items[4]['img'], first['img'])


def test_item_with_a_seed_leaves_the_global_random_state_alone(items):
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    items[0, 99]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]


@pytest.mark.timeout(60)
def test_workers_change_nothing(items, dataset):
    torch.manual_seed(0)
    alone = batches(items, dataset, workers=0)
    torch.manual_seed(1)
    with_workers = same(batches(items, dataset, workers=2), alone)
    next_epoch = same(batches(items, dataset, workers=0, epoch=1), alone)
    assert with_workers and not next_epoch
    assert len(alone) > 1
    for batch in alone:
        assert batch['img'].shape == (16, 3, HEIGHT, WIDTH)
        assert torch.equal(batch['modality'], torch.tensor([0, 0, 1, 1] * 4))


def test_images_of_one_batch_are_augmented_apart(items):
    torch.manual_seed(0)
    seeds = [seed for _, seed in CrossModalityIdentitySampler(
        items.records, [items.dataset.modality(path) for path, _, _ in items.records], num_ids=2, num_instances=4)]
    assert len({items[0, seed]['img'].numpy().tobytes() for seed in seeds[:8]}) == 8


def corrupt(kind: str, path: Path) -> Path:
    if kind == 'truncated':
        Image.fromarray(np.random.default_rng(0).integers(256, size=(96, 48, 3), dtype=np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == 'text':
        path.write_text('no image')
    elif kind == 'empty':
        path.write_bytes(b'')
    elif kind == 'folder':
        path.mkdir()
    return path


@pytest.mark.timeout(10)
@pytest.mark.parametrize('kind', ['truncated', 'text', 'empty', 'missing', 'folder'])
def test_unreadable_image_ends_with_its_name(dataset, tmp_path, kind):
    (tmp_path / 'cam3' / '0007').mkdir(parents=True)
    path = str(corrupt(kind, tmp_path / 'cam3' / '0007' / '0001.jpg'))
    with pytest.raises(DatasetError, match=r'cam3/0007/0001\.jpg'):
        read_image(path)
    items = ImageItems([(path, 0, 3)], dataset, build_train_transform(HEIGHT, WIDTH))
    for key in (0, (0, 5)):
        with pytest.raises(DatasetError, match=r'cam3/0007/0001\.jpg'):
            items[key]


@pytest.mark.timeout(30)
def test_unreadable_image_in_a_worker_ends_with_its_name(dataset, tmp_path):
    (tmp_path / 'cam3' / '0007').mkdir(parents=True)
    path = str(corrupt('truncated', tmp_path / 'cam3' / '0007' / 'broken.jpg'))
    items = ImageItems([(dataset.train[0][0], 0, 1), (path, 0, 3)], dataset, build_train_transform(HEIGHT, WIDTH))
    with pytest.raises(DatasetError, match=r'broken\.jpg'):
        list(torch.utils.data.DataLoader(items, batch_size=2, num_workers=1))


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBA', 'CMYK', '1'])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / f'image.{"tif" if mode == "CMYK" else "png"}'
    Image.new('RGB', (6, 12), (200, 30, 30)).convert(mode).save(path)
    image = read_image(str(path))
    assert image.mode == 'RGB' and image.size == (6, 12)
