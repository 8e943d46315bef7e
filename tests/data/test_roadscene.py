import os
import zlib
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

import numpy as np
import pytest
from PIL import Image

from fdnm_timm.data import INFRARED, VISIBLE, DatasetError, Record, RoadScene, hold_out

REAL = Path(__file__).resolve().parents[3] / 'shared' / 'data' / 'roadscene'
FOLDERS = ('crop_LR_visible', 'cropinfrared')
# (width, height) of each pair and the windows that fit: a window is 0.375 heights wide
SIZES = {
    (240, 160): 3, (250, 120): 3, (180, 160): 3, (178, 160): 2, (121, 160): 2, (118, 160): 1, (100, 200): 1,
    (201, 133): 3, (141, 133): 2,
}
Box = Tuple[int, int, int, int]


def coordinates(width: int, height: int, mark: int = 0) -> Image.Image:
    """A picture whose pixels tell their own place: red is x, green is y."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([x, y, np.full_like(x, mark)], axis=-1).astype(np.uint8))


def write_pairs(root: Path, sizes: Sequence[Tuple[int, int]] = tuple(SIZES)) -> Path:
    """Pairs scene_00.png, ... of coordinate pictures; blue tells which folder and pair a pixel comes from."""
    for number, folder in enumerate(FOLDERS):
        (root / folder).mkdir(parents=True)
        for pair in reversed(range(len(sizes))):
            coordinates(*sizes[pair], mark=100 * number + pair).save(root / folder / f'scene_{pair:02d}.png')
    return root


def box_of(image: Image.Image) -> Box:
    """(left, top, right, bottom) that a crop of a coordinate picture was cut from."""
    pixels = np.asarray(image)[..., :2]
    left, top = pixels[0, 0].tolist()
    box = left, top, left + image.width, top + image.height
    assert np.array_equal(pixels, np.asarray(coordinates(256, 256).crop(box))[..., :2])  # not scaled, not padded
    return box


def nominal(width: int, height: int) -> List[Tuple[float, float]]:
    """(centre x, window width) of a picture's windows, left to right."""
    w = 0.375 * height
    centres = {1: [width / 2], 2: [w / 2, width - w / 2], 3: [w / 2, width / 2, width - w / 2]}
    return [(x, w) for x in centres[SIZES[width, height]]]


def parse(path: str) -> Tuple[str, int, int]:
    """(file, window, view) of a record's path."""
    file, window, view = path.replace('#window=', '&view=').split('&view=')
    return file, int(window), int(view)


def records_of(dataset: RoadScene) -> List[Record]:
    """All records, with the data set's own pids."""
    return [(path, dataset.train_names[label], camid) for path, label, camid in dataset.train] + dataset.test


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return write_pairs(tmp_path_factory.mktemp('roads') / 'roadscene')


@pytest.fixture(scope='module')
def dataset(root) -> RoadScene:
    return RoadScene(root)


@pytest.fixture(scope='module')
def boxes(dataset) -> Dict[Tuple[str, int, int, int], Box]:
    """The box of every view, by (stem, window, camid, view)."""
    out = {}
    for path, _, camid in records_of(dataset):
        file, window, view = parse(path)
        out[Path(file).stem, window, camid, view] = box_of(dataset.load(path))
    return out


def each_window(boxes) -> Iterator[Tuple[Box, float, float, float]]:
    """(box, centre x, centre y, window width) of every view."""
    for (stem, window, _, _), box in boxes.items():
        size = list(SIZES)[int(stem[-2:])]
        centre, w = nominal(*size)[window]
        yield box, centre, size[1] / 2, w


def test_windows_and_identities(dataset):
    windows: Dict[str, set] = {}
    pids: Dict[Tuple[str, int], set] = {}
    for path, pid, _ in records_of(dataset):
        file, window, _ = parse(path)
        windows.setdefault(Path(file).stem, set()).add(window)
        pids.setdefault((Path(file).stem, window), set()).add(pid)
    expected = {f'scene_{pair:02d}': number for pair, number in enumerate(SIZES.values())}
    assert {stem: len(found) for stem, found in windows.items()} == expected
    assert all(len(found) == 1 for found in pids.values())
    assert len({pid for found in pids.values() for pid in found}) == len(pids) == sum(SIZES.values())


def test_four_views_of_each_modality(dataset):
    views: Dict[Tuple[int, int], List[int]] = {}
    for path, pid, camid in records_of(dataset):
        views.setdefault((pid, camid), []).append(parse(path)[2])
    assert len(views) == 2 * sum(SIZES.values())
    assert all(sorted(found) == [0, 1, 2, 3] for found in views.values())
    assert {camid for _, camid in views} == {1, 2}


def test_nominal_windows_lie_apart_and_inside():
    """The arithmetic that the other tests lean on."""
    for (width, height), number in SIZES.items():
        places = nominal(width, height)
        assert len(places) == number
        edges = [edge for centre, w in places for edge in (centre - w / 2, centre + w / 2)]
        assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= width


@pytest.mark.parametrize(('size', 'number'), [((240, 160), 3), ((150, 160), 2), ((100, 200), 1)])
def test_views_surround_windows_that_do_not_overlap(tmp_path, size, number):
    """Over many files the jitter averages out: the mean boxes are the nominal windows, side by side."""
    dataset = RoadScene(write_pairs(tmp_path / 'many', [size] * 30))
    found: Dict[int, List[Box]] = {}
    for path, _, _ in records_of(dataset):
        found.setdefault(parse(path)[1], []).append(box_of(dataset.load(path)))
    assert sorted(found) == list(range(number))
    centres = [np.mean([(box[0] + box[2]) / 2 for box in found[window]]) for window in range(number)]
    widths = [np.mean([box[2] - box[0] for box in found[window]]) for window in range(number)]
    w = 0.375 * size[1]
    # a mean of 240 uniform draws of +-0.12 w is off by 0.0045 w (one sigma); at the picture's edge they go inwards only
    assert widths == pytest.approx([w] * number, abs=0.02 * w)
    expected = {1: [size[0] / 2], 2: [w / 2, size[0] - w / 2], 3: [w / 2, size[0] / 2, size[0] - w / 2]}[number]
    assert centres == pytest.approx(expected, abs=0.06 * w)
    assert all(right - left >= 0.94 * w for left, right in zip(centres, centres[1:], strict=False))


def test_views_are_two_to_one(boxes):
    for left, top, right, bottom in boxes.values():
        assert abs((bottom - top) - 2 * (right - left)) <= 3  # each of the four edges is rounded


def test_jitter_stays_within_twelve_percent(boxes):
    scales, shifts = [], []
    for (left, top, right, bottom), x, y, w in each_window(boxes):
        scale, dx, dy = (right - left) / w, ((left + right) / 2 - x) / w, ((top + bottom) / 2 - y) / (2 * w)
        assert abs(scale - 1) <= 0.12 + 1 / w  # one pixel of rounding
        assert abs((bottom - top) / (2 * w) - 1) <= 0.12 + 1 / (2 * w)
        assert abs(dx) <= 0.12 + 0.5 / w and abs(dy) <= 0.12 + 0.25 / w
        scales.append(scale - 1)
        shifts += [dx, dy]
    for values in (scales, shifts):  # the range is used, on both sides
        assert min(values) < -0.08 and max(values) > 0.08


def test_views_lie_inside_the_picture(boxes):
    for (stem, _, _, _), (left, top, right, bottom) in boxes.items():
        width, height = list(SIZES)[int(stem[-2:])]
        assert 0 <= left < right <= width and 0 <= top < bottom <= height


def test_views_differ_from_each_other(tmp_path):
    """The visible and the infrared view of a number, too.

    Seen in pictures as large as the real ones, where rounding to whole pixels does not make two cuts one.
    """
    dataset = RoadScene(write_pairs(tmp_path / 'large', [(750, 500)] * 6))
    views: Dict[int, set] = {}
    for path, pid, _ in records_of(dataset):
        image = dataset.load(path)
        views.setdefault(pid, set()).add((image.size, np.asarray(image)[..., :2].tobytes()))
    assert len(views) == 18 and all(len(found) == 8 for found in views.values())


def test_views_are_fixed(tmp_path, boxes):
    """By file name, window, modality and view alone: wherever the set lies, and whatever was loaded before."""
    moved = RoadScene(write_pairs(tmp_path / 'elsewhere'))
    for path, _, camid in reversed(records_of(moved)):
        file, window, view = parse(path)
        assert box_of(moved.load(path)) == boxes[Path(file).stem, window, camid, view]


def test_views_are_the_published_ones(boxes):
    """The cuts define the benchmark: results of different versions are comparable only while they stay."""
    for (stem, window, camid, view), box in boxes.items():
        width, height = list(SIZES)[int(stem[-2:])]
        centre, w = nominal(width, height)[window]
        rng = np.random.default_rng(zlib.crc32(f'{stem}|{window}|{camid - 1}|{view}'.encode()))
        dx, dy, ds = rng.uniform(-0.12, 0.12, size=3)
        w_cut, h_cut = w * (1 + ds), 2 * w * (1 + ds)
        left = min(max(centre + dx * w - w_cut / 2, 0), width - w_cut)
        top = min(max(height / 2 + dy * 2 * w - h_cut / 2, 0), height - h_cut)
        assert np.abs(np.array(box) - (left, top, left + w_cut, top + h_cut)).max() <= 0.5 + 1e-6
    assert [boxes[key] for key in (('scene_00', 0, 1, 0), ('scene_00', 0, 2, 0), ('scene_01', 1, 2, 3))] == [
        (5, 22, 66, 143), (1, 15, 66, 146), (105, 14, 149, 100)]


def test_picture_that_changes_is_read_anew(tmp_path):
    root = write_pairs(tmp_path / 'changing', [(100, 200)] * 4)
    dataset = RoadScene(root)
    path = dataset.query[0][0]
    before = dataset.load(path)
    picture = Path(parse(path)[0])
    coordinates(100, 200, mark=200).save(picture)
    assert before.getpixel((0, 0))[2] < 200 and dataset.load(path).getpixel((0, 0))[2] == 200
    picture.unlink()
    with pytest.raises(DatasetError, match=picture.name):
        dataset.load(path)


def test_content_comes_from_the_records_own_picture(dataset):
    for path, _, camid in records_of(dataset):
        file, _, _ = parse(path)
        marks = np.unique(np.asarray(dataset.load(path))[..., 2])
        assert marks.tolist() == [100 * (camid - 1) + int(Path(file).stem[-2:])]


def test_global_random_state_is_left_alone(dataset):
    state = np.random.get_state()[1].copy()
    dataset.load(dataset.query[0][0])
    assert np.array_equal(np.random.get_state()[1], state)


def test_every_third_pair_is_test(dataset):
    of_test = {Path(parse(path)[0]).stem for path, _, _ in dataset.test}
    of_train = {Path(parse(path)[0]).stem for path, _, _ in dataset.train}
    assert of_test == {'scene_02', 'scene_05', 'scene_08'}
    assert of_train == {f'scene_{pair:02d}' for pair in (0, 1, 3, 4, 6, 7)}
    train_scenes = {dataset.scene(pid) for pid in dataset.train_names}
    test_scenes = {dataset.scene(pid) for _, pid, _ in dataset.test}
    assert len(train_scenes) == 6 and len(test_scenes) == 3 and not train_scenes & test_scenes


def test_train_labels(dataset):
    labels = sorted({label for _, label, _ in dataset.train})
    assert labels == list(range(len(dataset.train_names)))
    assert not set(dataset.train_names) & {pid for _, pid, _ in dataset.test}


def test_query_is_infrared_and_gallery_visible(dataset):
    assert sorted(dataset.query + dataset.gallery) == sorted(dataset.test)
    assert {dataset.modality(path) for path, _, _ in dataset.query} == {INFRARED}
    assert {dataset.modality(path) for path, _, _ in dataset.gallery} == {VISIBLE}


def test_modality_comes_from_the_path(dataset):
    for path, _, camid in records_of(dataset):
        expected = VISIBLE if Path(parse(path)[0]).parent.name == FOLDERS[0] else INFRARED
        assert dataset.modality(path) == expected == camid - 1


def test_root_is_the_folder_or_its_parent(dataset, root):
    parent = RoadScene(root.parent)
    assert parent.root == root
    assert parent.train == dataset.train and parent.test == dataset.test


def test_hash_in_a_folders_name(tmp_path):
    dataset = RoadScene(write_pairs(tmp_path / 'disk#1' / 'roadscene', list(SIZES)[:3]))
    assert {dataset.modality(path) for path, _, _ in dataset.query} == {INFRARED}
    assert dataset.load(dataset.query[0][0]).width > 0


def test_hold_out_keeps_a_pictures_windows_together(dataset):
    split = hold_out(dataset, every=2)
    held = {dataset.scene(pid) for _, pid, _ in split.test}
    kept = {dataset.scene(pid) for pid in split.train_names}
    assert len(held) == 3 and held | kept == {0, 1, 3, 4, 6, 7} and not held & kept


def test_missing_root(tmp_path):
    with pytest.raises(DatasetError, match='nowhere" does not exist.*crop_LR_visible'):
        RoadScene(tmp_path / 'nowhere')


@pytest.mark.parametrize('folder', FOLDERS)
def test_missing_folder(tmp_path, folder):
    root = write_pairs(tmp_path / 'set', [(40, 30)] * 3)
    (root / folder).rename(root / 'other')
    with pytest.raises(DatasetError, match=folder):
        RoadScene(root)


@pytest.mark.parametrize('folder', FOLDERS)
def test_empty_folder(tmp_path, folder):
    root = write_pairs(tmp_path / 'set', [(40, 30)] * 3)
    for file in (root / folder).iterdir():
        file.unlink()
    with pytest.raises(DatasetError, match=f'{folder}" is missing or holds no picture'):
        RoadScene(root)


@pytest.mark.parametrize('folder', FOLDERS)
def test_picture_without_partner(tmp_path, folder):
    root = write_pairs(tmp_path / 'set', [(40, 30)] * 4)
    (root / folder / 'scene_01.png').unlink()
    with pytest.raises(DatasetError, match='no partner.*scene_01'):
        RoadScene(root)


@pytest.mark.parametrize('number', [1, 2])
def test_too_few_pairs(tmp_path, number):
    with pytest.raises(DatasetError, match=f'holds {number} pairs, but at least 3'):
        RoadScene(write_pairs(tmp_path / 'set', [(40, 30)] * number))


@pytest.mark.parametrize('folder', FOLDERS)
def test_corrupt_picture_is_named(tmp_path, folder):
    root = write_pairs(tmp_path / 'set', [(40, 30)] * 3)
    (root / folder / 'scene_01.png').write_text('no picture')
    with pytest.raises(DatasetError, match=rf'{folder}.*scene_01\.png'):
        dataset = RoadScene(root)
        for path, _, _ in records_of(dataset):
            dataset.load(path)


def test_pair_of_different_sizes_is_reported(tmp_path):
    """The pairs are aligned: where one is not, its windows would show different places."""
    root = write_pairs(tmp_path / 'set', [(240, 160)] * 3)
    coordinates(120, 160).save(root / FOLDERS[1] / 'scene_01.png')
    with pytest.raises(DatasetError, match='scene_01'):
        dataset = RoadScene(root)
        for path, _, _ in records_of(dataset):
            dataset.load(path)


@pytest.mark.skipif(not REAL.is_dir(), reason=f'{os.path.relpath(REAL)} does not exist')
def test_real_set():
    dataset = RoadScene(REAL)
    records = records_of(dataset)
    assert len({Path(parse(path)[0]).name for path, _, _ in records}) == 148
    assert len({pid for _, pid, _ in records}) == 442
    assert len(records) == 442 * 8
    assert len({dataset.scene(pid) for _, pid, _ in dataset.test}) == 49
    assert len({dataset.scene(pid) for pid in dataset.train_names}) == 99
    test_pids = {pid for _, pid, _ in dataset.test}
    assert len(test_pids) + len(dataset.train_names) == 442 and not test_pids & set(dataset.train_names)
    assert len(dataset.query) == len(dataset.gallery) == 4 * len(test_pids)
    assert len(dataset.train) == 8 * len(dataset.train_names)
    assert RoadScene(REAL.parent).test == dataset.test
    for path, _, _ in dataset.query[::60]:
        image = dataset.load(path)
        assert image.mode == 'RGB' and abs(image.height - 2 * image.width) <= 3
