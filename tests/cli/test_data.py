"""`fdnm data check` and `fdnm data draw`."""
import argparse
import re
import shutil
from pathlib import Path
from typing import List

import pytest

from fdnm_timm.cli import data
from fdnm_timm.data import CASIANIRVIS2, LLCM, SYSUMM01, BUAAVisNir, DatasetError, OuluCASIA, RegDB

pytestmark = pytest.mark.filterwarnings('ignore::fdnm_timm.data.CountWarning')


def fdnm_data(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    data.add_parser(parser.add_subparsers(dest='command'))
    args = parser.parse_args(['data', *map(str, arguments)])
    assert args.command == 'data'
    return args.run(args)


SMALL = ['--num-train', '3', '--num-test', '2', '--images', '2', '--height', '24', '--width', '12', '--quiet']


@pytest.fixture(scope='module')
def regdb(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('drawn') / 'RegDB'
    assert fdnm_data('draw', '--layout', 'regdb', '--root', root, '--trials', '3', *SMALL) == 0
    return root


def rows(out: str) -> List[List[str]]:
    return [re.split(r'\s{2,}', line.strip()) for line in out.splitlines()]


def test_table(regdb, capsys, recwarn):
    assert fdnm_data('check', '--dataset', 'regdb', '--root', regdb, '--option', 'trial=3') == 1
    out, err = capsys.readouterr()
    assert rows(out) == [
        [f'regdb in "{regdb}"'], ['found', 'published'],
        ['train ids', '3', '206', 'differs'], ['train images', '12'],
        ['train visible', '6', '2,060', 'differs'], ['train infrared', '6', '2,060', 'differs'],
        ['test ids', '2', '206', 'differs'], ['test images', '8'],
        ['test visible', '4', '2,060', 'differs'], ['test infrared', '4', '2,060', 'differs'],
        ['All 20 images can be read.']]
    assert len({line.index('published') + 9 for line in out.splitlines() if 'published' in line}) == 1
    ends = {re.search(r'[\d,]+(?=  differs)', line).end() for line in out.splitlines() if 'differs' in line}
    assert ends == {out.splitlines()[1].index('published') + 9}  # the columns are aligned
    assert '20/20' in err and not list(recwarn)


def test_whole_set(regdb, capsys, monkeypatch):
    monkeypatch.setattr(RegDB, 'published', {'train ids': 3, 'test images': 8})
    assert fdnm_data('check', '--dataset', 'regdb', '--root', regdb.parent, '--quiet') == 0
    out, err = capsys.readouterr()
    assert 'differs' not in out and err == ''
    assert ['train ids', '3', '3'] in rows(out) and ['test images', '8', '8'] in rows(out)
    assert fdnm_data('check', '--dataset', 'regdb', '--root', regdb, '--no-images') == 0
    assert 'The images were not opened.' in capsys.readouterr().out


def test_unreadable_images(regdb, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(RegDB, 'published', {})
    root = shutil.copytree(regdb, tmp_path / 'RegDB')
    bad = [RegDB(root).train[0][0], RegDB(root).test[-1][0]]
    Path(bad[0]).write_bytes(b'no image')
    Path(bad[1]).write_bytes(Path(bad[1]).read_bytes()[:200])
    assert fdnm_data('check', '--dataset', 'regdb', '--root', root, '--quiet', '--workers', '1') == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3] == '2 of 20 images cannot be read:'
    assert [path in line and 'Cannot read the image' in line for path, line in zip(bad, lines[-2:])] == [True, True]
    assert fdnm_data('check', '--dataset', 'regdb', '--root', root, '--no-images') == 0


def test_nothing_published(sysu_tree, capsys):
    options = ['num_train=8', 'num_val=2', 'num_test=6', 'images_per_camera=3', 'height=48', 'width=24',
               'gallery_draw=official']
    flags = [part for option in options for part in ('--option', option)]
    assert fdnm_data('check', '--dataset', 'synthetic_vi', '--root', sysu_tree, '--quiet', *flags) == 0
    assert 'can be read' in capsys.readouterr().out


def test_malformed_set(regdb, tmp_path):
    root = shutil.copytree(regdb, tmp_path / 'RegDB')
    (root / 'idx' / 'test_thermal_1.txt').unlink()
    with pytest.raises(DatasetError, match=r'test_thermal_1\.txt" is missing'):
        fdnm_data('check', '--dataset', 'regdb', '--root', root)


@pytest.mark.parametrize('name', ['regdb', 'synthetic_vi'])
def test_missing_root(tmp_path, name):
    with pytest.raises(DatasetError, match='nowhere" does not exist'):
        fdnm_data('check', '--dataset', name, '--root', tmp_path / 'nowhere')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('dataset', 'option', 'message'), [
    ('regdb', 'trail=2', "regdb has no option 'trail': did you mean 'trial'"),
    ('llcm', 'trial=2', "llcm has no option 'trial'. It has none"),
    ('regdb', 'trial', "--option is 'trial', but must be KEY=VALUE"),
    ('regdb', 'trial=[', "the value of 'trial' is '\\['"),
    ('regdb', 'trial=11', 'trial is 11, but RegDB has the splits 1 to 10'),
    ('sysu_mm01', 'gallery_draw=officially', "did you mean 'official'"),
    ('regdbs', 'trial=1', "no data set 'regdbs': did you mean 'regdb'"),
])
def test_bad_arguments(regdb, dataset, option, message):
    with pytest.raises(ValueError, match=message):
        fdnm_data('check', '--dataset', dataset, '--root', regdb, '--option', option)


def test_draw(regdb, tmp_path, capsys):
    assert RegDB(regdb, 3).counts()['train ids'] == 3
    assert fdnm_data('draw', '--layout', 'llcm', '--root', tmp_path / 'llcm', '--seed', '5', *SMALL) == 0
    out = capsys.readouterr().out
    assert f'fdnm data check --dataset llcm --root "{tmp_path / "llcm"}"' in out
    assert LLCM(tmp_path / 'llcm').counts()['test ids'] == 2
    assert fdnm_data('draw', '--layout', 'sysu_mm01', '--root', tmp_path / 'sysu', '--num-val', '2', *SMALL) == 0
    assert SYSUMM01(tmp_path / 'sysu', gallery_draw='official').counts()['train ids'] == 5


@pytest.mark.parametrize('layout', ['oulu_casia', 'buaa_visnir', 'casia_nirvis2'])
def test_draw_faces(tmp_path, capsys, layout):
    folds = ['--folds', '2'] if layout == 'casia_nirvis2' else []
    assert fdnm_data('draw', '--layout', layout, '--root', tmp_path / 'set', '--num-train', '2', '--num-test', '1',
                     '--images', '2', '--size', '24', '--seed', '4', '--quiet', *folds) == 0
    assert f'fdnm data check --dataset {layout} --root "{tmp_path / "set"}"' in capsys.readouterr().out
    cls = {cls.name: cls for cls in (OuluCASIA, BUAAVisNir, CASIANIRVIS2)}[layout]
    dataset = cls(tmp_path / 'set', **({'fold': 2} if folds else {}))
    assert dataset.counts()['train images'] == 8 and len(dataset.query) == 2
    assert dataset.load(dataset.query[0][0]).size == (24, 24)


@pytest.mark.parametrize(('layout', 'flag'), [
    ('regdb', '--num-val'), ('llcm', '--trials'), ('sysu_mm01', '--trials'), ('sysu_mm01', '--size'),
    ('oulu_casia', '--folds'), ('buaa_visnir', '--height'), ('casia_nirvis2', '--trials')])
def test_draw_with_what_the_layout_has_not(tmp_path, layout, flag):
    with pytest.raises(ValueError, match=f'{flag} is given, but the layout {layout}'):
        fdnm_data('draw', '--layout', layout, '--root', tmp_path / 'set', flag, '2', '--quiet')
    assert not list(tmp_path.iterdir())


def test_draw_over_something_else(regdb):
    with pytest.raises(FileExistsError, match='choose another folder'):
        fdnm_data('draw', '--layout', 'llcm', '--root', regdb, *SMALL)


def test_usage(capsys):
    for arguments in ([], ['check'], ['draw', '--layout', 'market', '--root', 'x']):
        with pytest.raises(SystemExit) as caught:
            fdnm_data(*arguments)
        assert caught.value.code == 2
    capsys.readouterr()
