import json
import os
import stat
from pathlib import Path

import pytest

from fdnm_timm.files import replacing, write_json, write_text


@pytest.fixture
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_new_file_appears_whole(tmp_path):
    path = tmp_path / 'deep' / 'er' / 'a.txt'
    with replacing(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == '.txt'
        temporary.write_text('half')
        assert not path.exists()
        temporary.write_text('whole')
    assert path.read_text() == 'whole'
    assert os.listdir(path.parent) == ['a.txt']


def test_old_content_stays_until_the_end(tmp_path):
    path = tmp_path / 'a.bin'
    path.write_bytes(b'old')
    with replacing(str(path)) as temporary:
        temporary.write_bytes(b'new')
        assert path.read_bytes() == b'old'
    assert path.read_bytes() == b'new'
    assert os.listdir(tmp_path) == ['a.bin']


@pytest.mark.parametrize('error', [ValueError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize('before', [b'old', None])
def test_failing_block_changes_nothing(tmp_path, error, before):
    path = tmp_path / 'a.bin'
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(error, match='midway'):
        with replacing(path) as temporary:
            temporary.write_bytes(b'half')
            raise error('midway')
    assert os.listdir(tmp_path) == ([] if before is None else ['a.bin'])
    assert before is None or path.read_bytes() == before


def test_target_that_cannot_be_replaced(tmp_path):
    (tmp_path / 'a' / 'inside').mkdir(parents=True)
    with pytest.raises(OSError):
        write_text(tmp_path / 'a', 'text')
    assert os.listdir(tmp_path) == ['a'] and os.listdir(tmp_path / 'a') == ['inside']


@pytest.mark.parametrize('umask', [0o022, 0o077, 0o002], indirect=True)
def test_permissions_are_those_of_a_plain_file(tmp_path, umask):
    (tmp_path / 'plain').touch()
    write_text(tmp_path / 'replaced', 'text')
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ('plain', 'replaced')]
    assert modes == [0o666 & ~umask] * 2
    assert os.umask(umask) == umask  # still what it was


def test_write_text_is_utf8(tmp_path):
    write_text(tmp_path / 'a', 'θ′ = (1+S)·θ\n')
    assert (tmp_path / 'a').read_bytes() == 'θ′ = (1+S)·θ\n'.encode()


def test_write_json(tmp_path):
    value = {'R1': 12.5, 'list': [1, None, True], 'inner': {'name': 'é'}}
    write_json(tmp_path / 'a.json', value)
    text = (tmp_path / 'a.json').read_text(encoding='utf-8')
    assert json.loads(text) == value
    assert text.endswith('}\n') and text.count('\n') > 5  # for people, too


def test_write_json_of_what_is_no_json(tmp_path: Path):
    write_json(tmp_path / 'a.json', [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / 'a.json', {'set': {1, 2}})
    assert json.loads((tmp_path / 'a.json').read_text()) == [1]
    assert os.listdir(tmp_path) == ['a.json']
