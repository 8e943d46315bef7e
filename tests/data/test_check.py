import threading
from pathlib import Path
from typing import ClassVar, Dict

import pytest
from PIL import Image

from fdnm_timm.data import CrossModalityDataset, RoadScene, SyntheticVI, check_dataset
from fdnm_timm.data.check import CheckReport

from .test_roadscene import write_pairs


class Few(CrossModalityDataset):
    """Twelve images, of which the query and gallery are some, as in every data set."""
    name = 'few'
    marker = 'here'
    published: ClassVar[Dict[str, int]] = {'train ids': 2, 'test images': 4}

    def __init__(self, root: Path) -> None:
        (root / 'here').touch()
        super().__init__(root)
        paths = [str(root / f'{n}{kind}.png') for n in range(6) for kind in 'vi']
        for path in paths:
            Image.new('RGB', (30, 40), (1, 2, 3)).save(path)
        records = [(path, n // 4, 1) for n, path in enumerate(paths)]
        self._set_train(records[:8])
        self.test = records[8:]
        self.query, self.gallery = self.test[:2], self.test[2:]

    def modality(self, path: str) -> int:
        return int(path.endswith('i.png'))


@pytest.fixture
def few(tmp_path) -> Few:
    return Few(tmp_path)


def test_whole(few):
    report = check_dataset(few)
    assert report == CheckReport(
        counts={'train ids': 2, 'train images': 8, 'train visible': 4, 'train infrared': 4,
                'test ids': 1, 'test images': 4, 'test visible': 2, 'test infrared': 2},
        published={'train ids': 2, 'test images': 4}, num_opened=12, unreadable=[])
    assert report.ok and report.differing == []


@pytest.mark.parametrize('workers', [1, 5])
def test_unreadable_images(few, workers):
    truncated, text, gone = (path for path, _, _ in (few.train[5], few.train[1], few.test[3]))
    content = Path(truncated).read_bytes()
    Path(truncated).write_bytes(content[:len(content) - 30])  # its header is whole
    Path(text).write_text('no image')
    Path(gone).unlink()
    report = check_dataset(few, workers=workers)
    assert [path for path, _ in report.unreadable] == [text, truncated, gone]  # in the records' order
    for path, reason in report.unreadable:
        assert f'Cannot read the image "{path}": ' in reason
    assert not report.ok and report.num_opened == 12


def test_any_error_is_a_reason(few, monkeypatch):
    def fails(path):
        raise ZeroDivisionError

    monkeypatch.setattr(few, 'load', fails)
    report = check_dataset(few)
    assert len(report.unreadable) == 12 and report.unreadable[0][1] == 'ZeroDivisionError'


def test_counts_that_differ(few, monkeypatch):
    monkeypatch.setattr(Few, 'published', {'train ids': 2, 'test images': 5, 'queries': 9})
    report = check_dataset(few)
    assert report.differing == ['test images', 'queries'] and not report.ok and not report.unreadable


def test_without_images(few, monkeypatch):
    monkeypatch.setattr(few, 'load', lambda path: pytest.fail('opened'))
    report = check_dataset(few, images=False)
    assert report.ok and report.num_opened == 0


def test_every_image_once_and_few_at_a_time(few, monkeypatch):
    few.test = [(f'{n}v.png', 0, 1) for n in range(300)] * 2
    opened, submitted, lock = [], 0, threading.Lock()

    def load(path):
        with lock:
            opened.append(path)

    class Pool(check_dataset.__globals__['ThreadPoolExecutor']):
        def submit(self, *args, **kwargs):
            nonlocal submitted
            with lock:
                submitted += 1
                assert submitted - len(opened) <= 16 + 2
            return super().submit(*args, **kwargs)

    monkeypatch.setattr(few, 'load', load)
    monkeypatch.setattr('fdnm_timm.data.check.ThreadPoolExecutor', Pool)
    assert check_dataset(few, workers=2).num_opened == 308
    assert len(opened) == len(set(opened)) == 308


def test_workers_below_one(few):
    with pytest.raises(ValueError, match='workers is 0'):
        check_dataset(few, workers=0)


def test_progress(few, capsys):
    check_dataset(few)
    assert capsys.readouterr().err == ''
    check_dataset(few, progress=True)
    assert '12/12' in capsys.readouterr().err


def test_data_sets_without_published_counts(tmp_path, sysu_tree):
    roads = RoadScene(write_pairs(tmp_path / 'roads'))
    report = check_dataset(roads)
    assert report.ok and report.published == {} and report.num_opened == len(roads.train) + len(roads.test)
    drawn = SyntheticVI(sysu_tree, num_train=8, num_val=2, num_test=6, images_per_camera=3, height=48, width=24)
    assert check_dataset(drawn).ok
