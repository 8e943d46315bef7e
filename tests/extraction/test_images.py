import os

import pytest

from fdnm_timm.data import INFRARED, VISIBLE
from fdnm_timm.extraction import list_images
from fdnm_timm.extraction.images import Listed, list_entries


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('d/b/2.jpg', 'd/b/10.JPG', 'd/a.png', 'd/.hidden.jpg', 'd/.cache/1.jpg', 'd/notes.txt', 'e/1.bmp'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x')
    return tmp_path


def test_folder(tree):
    assert list_images('d') == ['d/a.png', 'd/b/10.JPG', 'd/b/2.jpg']
    assert list_images(f'{tree}/e/') == [f'{tree}/e/1.bmp']


def test_links_that_go_round(tree):
    os.symlink(tree / 'd', tree / 'd' / 'b' / 'round')
    os.symlink(tree / 'e', tree / 'd' / 'elsewhere')
    assert list_images('d') == ['d/a.png', 'd/b/10.JPG', 'd/b/2.jpg', 'd/elsewhere/1.bmp']


def test_glob_and_single_image(tree):
    assert list_images('*/**/*.jp*') == ['d/b/2.jpg']  # as the shell has it, .JPG is another suffix
    assert list_images('d/**') == ['d/a.png', 'd/b/10.JPG', 'd/b/2.jpg']
    assert list_images('d/a.png') == ['d/a.png']


def test_brackets_in_a_name_are_no_glob(tree):
    (tree / 'f[1]').mkdir()
    (tree / 'f[1]' / 'x.jpg').write_bytes(b'x')
    assert list_images('f[1]') == ['f[1]/x.jpg']


def test_list_keeps_its_order(tree):
    (tree / 'd' / 'l.txt').write_text(
        f'\ufeffb/2.jpg\tinfrared\r\n\na.png\r\nb/2.jpg\tinfrared\n{tree}/e/1.bmp\tvisible\ngone.jpg\tunknown')
    assert list_entries('d/l.txt') == [
        Listed('d/b/2.jpg', INFRARED), Listed('d/a.png'), Listed(f'{tree}/e/1.bmp', VISIBLE), Listed('d/gone.jpg', -1)]
    assert list_images('d/l.txt') == ['d/b/2.jpg', 'd/a.png', f'{tree}/e/1.bmp', 'd/gone.jpg']


@pytest.mark.parametrize('content, message', [
    (b'a.png\tblue', "line 1: after the tab stands 'blue', but one of 'visible', 'infrared', 'unknown' is expected"),
    (b'a.png\nb.png\na.png\tvisible', 'line 3: "d/a.png" has another modality in a line before'),
    (b'\xff\xd8\xff\xe0', 'neither an image .* nor a list of paths in UTF-8'),
    (b'a\0b', 'line 1 holds a zero byte'),
])
def test_bad_lists(tree, content, message):
    (tree / 'd' / 'l.txt').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list_images('d/l.txt')


def test_nothing_found_says_what_was_looked_for(tree):
    (tree / 'empty').mkdir()
    (tree / 'l.txt').write_text('\n')
    for source, message in (
            ('empty', r'looked for files that end in \.jpg, .* in the folder "empty" and its subfolders'),
            ('d/*.gif', r'looked for files that end in .* that match "d/\*\.gif"'),
            ('gone.jpg', 'There is no "gone.jpg": give a folder, a glob in quotes, a list file or an image'),
            ('l.txt', 'The list "l.txt" is empty')):
        with pytest.raises(FileNotFoundError, match=message):
            list_images(source)


def test_names_that_are_no_unicode(tree):
    with open(os.fsencode(tree / 'e') + b'/\xff.jpg', 'wb'):
        pass
    with pytest.raises(ValueError, match='is no Unicode, so results could not name it'):
        list_images('e')
