import re
from pathlib import Path

import pytest

from fdnm_timm.data import DatasetError
from fdnm_timm.data._lists import (
    Entry,
    check_same_pids,
    list_identities,
    locate,
    person_of,
    read_entries,
    read_ids,
)


def write(tmp_path: Path, content) -> Path:
    file = tmp_path / 'list.txt'
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_entries(tmp_path):
    file = write(tmp_path, 'a/1/x.bmp 0\na/2/y z.bmp  17\n\n./b/w.bmp\t3\n/b/v.bmp 004\n')
    assert read_entries('Set', file) == [
        Entry(1, 'a/1/x.bmp', 0), Entry(2, 'a/2/y z.bmp', 17), Entry(4, 'b/w.bmp', 3), Entry(5, 'b/v.bmp', 4)]


def test_lists_written_on_windows(tmp_path):
    file = write(tmp_path, b'\xef\xbb\xbfVisible\\285\\x.bmp 0\r\nVisible\\6\\y.bmp 1\r\n\r\n')
    assert read_entries('Set', file) == [Entry(1, 'Visible/285/x.bmp', 0), Entry(2, 'Visible/6/y.bmp', 1)]
    assert read_ids('Set', write(tmp_path, b'\xef\xbb\xbf3,7\r\n')) == {3, 7}


@pytest.mark.parametrize(('content', 'reason'), [
    ('', 'is empty'), ('\n \r\n', 'is empty'),
    ('a/x.bmp 0\na/y.bmp\n', "line 2 holds 'a/y.bmp', but a path and an identity"),
    ('a/x.bmp 0\na/y.bmp 1.5\n', 'line 2: the identity of "a/y.bmp" is \'1.5\', but must be an integer'),
    ('a/x.bmp -1\n', "line 1: .*'-1'"), ('a/x.bmp ²\n', "line 1: .*'²'"), ('a/x.bmp ٣\n', "line 1: .*'٣'"),
    ('a/x.bmp six\n', "line 1: .*'six'"),
    ('a/x.bmp 0\na/y.bmp 0\na\\x.bmp 4\n', 'line 3 gives "a/x.bmp" the identity 4, but line 1 gave it 0'),
    (b'\xff\xfea\x00/\x00', 'is not text'),
])
def test_malformed_entries(tmp_path, content, reason):
    with pytest.raises(DatasetError, match=rf'^Set: .*list\.txt".*{reason}'):
        read_entries('Set', write(tmp_path, content))


@pytest.mark.parametrize('read', [read_entries, read_ids])
def test_missing_list(tmp_path, read):
    with pytest.raises(DatasetError, match=r'^Set: the list ".*none\.txt" is missing'):
        read('Set', tmp_path / 'none.txt')
    with pytest.raises(DatasetError, match='^Set: .* cannot be read'):
        read('Set', tmp_path)


def test_image_named_twice_is_no_contradiction(tmp_path):
    assert len(read_entries('Set', write(tmp_path, 'a/x.bmp 1\na/x.bmp 1\n'))) == 2


def test_locate(tmp_path):
    (tmp_path / 'a' / '1').mkdir(parents=True)
    for name in ('x.bmp', 'y.bmp'):
        (tmp_path / 'a' / '1' / name).touch()
    entries = [Entry(1, 'a/1/x.bmp', 0), Entry(2, 'a/1/y.bmp', 0)]
    assert locate('Set', tmp_path, tmp_path / 'list.txt', entries) == [
        str(tmp_path / 'a' / '1' / 'x.bmp'), str(tmp_path / 'a' / '1' / 'y.bmp')]


def test_images_that_are_not_there(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'x.bmp').touch()
    entries = [Entry(n, name, 0) for n, name in enumerate(
        ['a/x.bmp', 'a/y.bmp', 'b/x.bmp', 'b/y.bmp', 'c.bmp'], 1)]
    with pytest.raises(DatasetError) as caught:
        locate('Set', tmp_path, tmp_path / 'list.txt', entries)
    message = str(caught.value)
    assert re.match(r'Set: 4 of the 5 images that ".*list\.txt" names are not under', message)
    assert '"a/y.bmp" (line 2), "b/x.bmp" (line 3), "b/y.bmp" (line 4), ...' in message
    with pytest.raises(DatasetError, match=r'1 of the 2 .*"a/y\.bmp" \(line 2\)\. Complete'):
        locate('Set', tmp_path, tmp_path / 'list.txt', entries[:2])


def test_person_of():
    assert person_of('Visible/285/x.bmp') == person_of('0285/x.bmp') == 285
    assert person_of('x.bmp') is person_of('Visible/x.bmp') is person_of('12/p7/x.bmp') is None


def test_same_pids(tmp_path):
    visible, infrared = (tmp_path / 'v.txt', [Entry(1, 'a', 1), Entry(2, 'b', 2)]), (tmp_path / 'i.txt', [
        Entry(1, 'c', 2), Entry(2, 'd', 2)])
    for first, second in ((visible, infrared), (infrared, visible)):
        with pytest.raises(DatasetError, match=r'identities \[1\] of ".*v\.txt" have no image in ".*i\.txt"'):
            check_same_pids('Set', first, second)
    check_same_pids('Set', visible, visible)


def test_identities_of_a_folder(tmp_path):
    for place in ('0003/b.jpg', '0003/a.PNG', '0003/Thumbs.db', '0020/x.bmp', '.trash/x.jpg'):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    (tmp_path / '0004').mkdir()
    (tmp_path / 'other').mkdir()  # holds no image
    (tmp_path / 'x.jpg').touch()
    assert list_identities('Set', tmp_path) == {3: ['a.PNG', 'b.jpg'], 20: ['x.bmp']}


@pytest.mark.parametrize('name', ['3', '00003', 'person3', '000x', '²²²²'])
def test_folder_that_is_no_identity(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / 'x.jpg').touch()
    with pytest.raises(DatasetError, match=rf'^Set: the folder ".*{name}" holds images.*no identity of four digits'):
        list_identities('Set', tmp_path)
