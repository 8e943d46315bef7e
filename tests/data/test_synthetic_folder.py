"""What all writers of drawn data sets promise: the folder appears whole or not at all, and is drawn once."""
import json
import os

import pytest

from fdnm_timm.data.synthetic import (
    face_layout,
    layout,
    write_buaa_layout,
    write_casia_layout,
    write_llcm_layout,
    write_oulu_layout,
    write_regdb_layout,
    write_sysu_layout,
)

PEOPLE = {'num_train': 4, 'num_test': 3, 'height': 32, 'width': 16}
FACES = {'num_train': 3, 'num_test': 2, 'images_per_modality': 3, 'size': 24}
WRITERS = [
    (write_sysu_layout, {**PEOPLE, 'num_val': 1, 'images_per_camera': 3}),
    (write_regdb_layout, {**PEOPLE, 'images_per_modality': 2, 'trials': 2}),
    (write_llcm_layout, {**PEOPLE, 'images_per_camera': 3}),
    (write_oulu_layout, FACES),
    (write_buaa_layout, FACES),
    (write_casia_layout, {**FACES, 'folds': 2}),
]
COUNTS = [(write, arguments, name) for write, arguments in WRITERS for name in arguments
          if name not in ('height', 'width', 'size')]
each_writer = pytest.mark.parametrize(('write', 'arguments'), WRITERS)


def snapshot(root) -> dict:
    return {path.relative_to(root): path.read_bytes() for path in root.rglob('*') if path.is_file()}


def replace_drawing(monkeypatch, draw) -> None:
    """Have `draw` called with the real function and its arguments."""
    for module, name in ((layout, 'draw_person'), (face_layout, 'draw_face')):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, real=real, **kwargs: draw(real, *args, **kwargs))


@each_writer
def test_same_arguments_redraw_nothing(tmp_path, monkeypatch, write, arguments):
    root = write(tmp_path / 'new' / 'a', **arguments)
    assert root == tmp_path / 'new' / 'a' and os.listdir(root.parent) == ['a']
    files = snapshot(root)
    assert snapshot(write(tmp_path / 'b', **arguments, progress=True)) == files
    replace_drawing(monkeypatch, lambda *args, **kwargs: pytest.fail('drawn again'))
    assert write(root, **arguments) == root
    assert snapshot(root) == files


@each_writer
def test_other_seed(tmp_path, write, arguments):
    root = write(tmp_path / 'set', **arguments)
    files = snapshot(root)
    record = json.loads((root / 'synthetic.json').read_text())
    assert record['arguments'] == {**arguments, 'seed': 0} and record['format_version'] == 1
    assert snapshot(write(tmp_path / 'other', **arguments, seed=1)) != files
    with pytest.raises(FileExistsError, match="'seed': 0.*'seed': 1.*choose another folder"):
        write(root, **arguments, seed=1)
    assert snapshot(root) == files


@each_writer
@pytest.mark.parametrize('error', [OSError, KeyboardInterrupt])
def test_failure_midway_leaves_nothing(tmp_path, monkeypatch, error, write, arguments):
    drawn = []

    def failing(draw, *args, **kwargs):
        drawn.append(args)
        if len(drawn) > 20:
            raise error('the disk is full')
        return draw(*args, **kwargs)

    replace_drawing(monkeypatch, failing)
    with pytest.raises(error, match='the disk is full'):
        write(tmp_path / 'set', **arguments)
    assert len(drawn) == 21 and os.listdir(tmp_path) == []


@pytest.mark.parametrize(('write', 'arguments', 'name'), COUNTS)
def test_counts_below_one(tmp_path, write, arguments, name):
    with pytest.raises(ValueError, match=f'{name} is 0'):
        write(tmp_path / 'set', **{**arguments, name: 0})
    assert os.listdir(tmp_path) == []


def test_other_content_is_left_alone(tmp_path):
    foreign = tmp_path / 'foreign'
    foreign.mkdir()
    (foreign / 'notes.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='foreign exists and holds no synthetic.json'):
        write_oulu_layout(foreign, **FACES)
    with pytest.raises(FileExistsError, match='notes.txt exists'):
        write_oulu_layout(foreign / 'notes.txt', **FACES)
    (foreign / 'synthetic.json').write_text('{')
    with pytest.raises(FileExistsError, match='records None'):
        write_oulu_layout(foreign, **FACES)
    assert sorted(os.listdir(foreign)) == ['notes.txt', 'synthetic.json'] and os.listdir(tmp_path) == ['foreign']


def test_empty_folder_is_taken(tmp_path):
    (tmp_path / 'set').mkdir()
    assert (write_oulu_layout(tmp_path / 'set', **FACES) / 'synthetic.json').is_file()


def test_another_layout_is_other_content(tmp_path):
    same = {'num_train': 1, 'num_test': 1, 'images_per_camera': 1, 'height': 24, 'width': 12}
    roots = {'llcm': write_llcm_layout(tmp_path / 'llcm', **same),
             'sysu': write_sysu_layout(tmp_path / 'sysu', num_val=1, **same),
             'oulu': write_oulu_layout(tmp_path / 'oulu', **FACES)}
    with pytest.raises(FileExistsError, match='llcm'):
        write_sysu_layout(roots['llcm'], num_val=1, **same)
    with pytest.raises(FileExistsError, match='llcm'):
        write_llcm_layout(roots['sysu'], **same)
    with pytest.raises(FileExistsError, match='regdb'):
        write_regdb_layout(roots['llcm'])
    with pytest.raises(FileExistsError, match='SyntheticVI.*SyntheticFaces'):
        write_oulu_layout(roots['sysu'])
    with pytest.raises(FileExistsError, match='oulu_casia.*buaa_visnir'):
        write_buaa_layout(roots['oulu'], **FACES)
