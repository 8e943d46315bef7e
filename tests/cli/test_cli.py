import os
import subprocess
import sys
from pathlib import Path
from typing import Tuple

import pytest
import yaml

from fdnm_timm import __version__
from fdnm_timm.cli import main
from fdnm_timm.data import DatasetError

from ..data.test_roadscene import write_pairs

SMALL = ['--set', 'model.name=fdnm_resnet18', '--set', 'model.pretrained=false', '--set', 'data.workers=0',
         '--set', 'data.height=32', '--set', 'data.width=16']


@pytest.fixture(scope='module')
def roads(tmp_path_factory) -> Path:
    return write_pairs(tmp_path_factory.mktemp('roads') / 'roadscene')


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    (tmp_path / 'cwd').mkdir()
    monkeypatch.chdir(tmp_path / 'cwd')  # a run's default folder lies under it


@pytest.fixture
def fails(capfd):
    """Runs a command line that must fail; returns its message."""
    def run(*args) -> str:
        assert main([str(arg) for arg in args]) == 2
        out, err = capfd.readouterr()
        assert out == ''
        assert err.startswith(f'fdnm {args[0]}: ') and 'Traceback' not in err
        assert err.count(f'fdnm {args[0]}: ') == 1  # one message
        assert os.listdir() == []  # nothing is left behind
        return err
    return run


def snapshot(folder: Path) -> dict:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def started_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / 'config.yaml').write_text('train:\n  epochs: 3\n')
    (folder / 'results.json').write_text('{"mine": 1}')
    return folder


def exits(capsys, *args) -> Tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(list(args))
    return (caught.value.code, *capsys.readouterr())


def test_version(capsys):
    code, out, _ = exits(capsys, '--version')
    assert code == 0 and out == f'fdnm_timm {__version__}\n'


@pytest.mark.parametrize('args', [(), ('trian',), ('train', '--sed', 'x'), ('train', '--seed', 'x'), ('evaluate',)])
def test_bad_command_line(capsys, args):
    code, _, err = exits(capsys, *args)
    assert code == 2 and 'usage: fdnm' in err and 'Traceback' not in err


@pytest.mark.parametrize('command', ['demo', 'train', 'evaluate'])
def test_help(capsys, command):
    code, out, _ = exits(capsys, command, '--help')
    assert code == 0 and f'fdnm {command}' in out


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, '-m', 'fdnm_timm', 'train', '--dataset', 'roadscen', '--root', 'x'], capture_output=True,
        text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("fdnm train: There is no data set 'roadscen': did you mean 'roadscene'?")
    assert done.stderr.count('\n') == 1 and done.stdout == ''


def test_unknown_dataset(fails, tmp_path):
    message = fails('train', '--dataset', 'roadscen', '--root', tmp_path)
    assert "no data set 'roadscen': did you mean 'roadscene'" in message


@pytest.mark.parametrize('name', ['roadscene', 'sysu_mm01'])
def test_missing_root(fails, tmp_path, name):
    message = fails('train', '--dataset', name, '--root', tmp_path / 'nowhere', *SMALL)
    assert f'"{tmp_path / "nowhere"}" does not exist' in message


@pytest.mark.parametrize('root', ['2024', 'a: b', 'a #b', 'yes', '1e3'])
def test_root_is_taken_as_it_is_given(fails, root):
    """A folder's name is no YAML."""
    assert f'"{root}" does not exist' in fails('train', '--dataset', 'roadscene', '--root', root)


@pytest.mark.parametrize('command', ['train', 'demo'])
def test_unknown_key(fails, command):
    message = fails(command, '--set', 'optim.lrr=1')
    assert '"optim.lrr" is not a key: did you mean "lr"?' in message


def test_unknown_key_in_a_file(fails, tmp_path):
    path = tmp_path / 'my.yaml'
    path.write_text('trian:\n  epochs: 1\n')
    message = fails('train', '--config', path)
    assert '"trian" is not a key: did you mean "train"?' in message and str(path) in message


def test_missing_config_file(fails, tmp_path):
    assert 'nowhere.yaml' in fails('train', '--config', tmp_path / 'nowhere.yaml')


def test_unknown_option_of_a_data_set(fails, roads):
    message = fails('train', '--dataset', 'roadscene', '--root', roads, *SMALL, '--set', 'data.options.colour=1')
    assert "'colour'" in message


def test_unknown_model(fails, roads):
    message = fails('train', '--dataset', 'roadscene', '--root', roads, *SMALL, '--set', 'model.name=fdnm_resnet19')
    assert 'fdnm_resnet19' in message


def test_plain_timm_model_is_refused(fails, roads):
    """Before training, and with the name of what is wrong."""
    message = fails('train', '--dataset', 'roadscene', '--root', roads, *SMALL, '--set', 'model.name=resnet18')
    assert 'resnet18' in message or 'ResNet' in message


def test_batch_that_takes_too_many_identities(fails, roads):
    assert '100 identities' in fails(
        'train', '--dataset', 'roadscene', '--root', roads, *SMALL, '--set', 'data.num_ids=100')


def test_run_is_not_written_over(fails, roads, tmp_path):
    folder = started_run(tmp_path / 'run')
    before = snapshot(folder)
    message = fails('train', '--dataset', 'roadscene', '--root', roads, '--save-dir', folder, *SMALL)
    assert f'"{folder}" holds a run already' in message and '--save-dir' in message
    assert snapshot(folder) == before


def test_run_in_the_default_folder_is_not_written_over(capfd, roads):
    folder = started_run(Path('runs') / 'roadscene-fdnm_resnet18-seed3')
    before = snapshot(folder)
    assert main(['train', '--dataset', 'roadscene', '--root', str(roads), '--seed', '3', *SMALL]) == 2
    assert f'"{folder}" holds a run already' in capfd.readouterr().err
    assert snapshot(Path()) == {folder / name.name: content for name, content in before.items()}


def test_demo_is_not_written_over(fails, tmp_path):
    folder = started_run(tmp_path / 'demo' / 'run')
    before = snapshot(tmp_path / 'demo')
    assert f'"{folder}" holds a run already' in fails('demo', '--out', tmp_path / 'demo')
    assert snapshot(tmp_path / 'demo') == before


def test_evaluate_a_folder_that_is_no_run(fails, tmp_path):
    for folder in (tmp_path, tmp_path / 'nowhere'):
        message = fails('evaluate', folder)
        assert f'"{folder}" is no run' in message and 'config.yaml' in message


def test_evaluate_a_run_without_a_model(fails, roads, tmp_path):
    """Such as one whose training was stopped."""
    folder = started_run(tmp_path / 'run')
    config = {'model': {'name': 'fdnm_resnet18'}, 'data': {'dataset': 'roadscene', 'root': str(roads), 'workers': 0}}
    (folder / 'config.yaml').write_text(yaml.safe_dump(config))
    before = snapshot(folder)
    assert str(folder / 'hub') in fails('evaluate', folder, '--quiet')
    assert snapshot(folder) == before


def test_traceback_on_request(tmp_path):
    with pytest.raises(DatasetError, match='nowhere'):
        main(['--traceback', 'train', '--dataset', 'roadscene', '--root', str(tmp_path / 'nowhere')])


@pytest.fixture
def lacking_library(monkeypatch) -> str:
    monkeypatch.setattr('fdnm_timm.cli._COMMANDS', ('data', 'of_a_missing_library'))
    return 'of_a_missing_library'


def test_a_command_without_its_library_says_so(lacking_library, fails):
    assert f"No module named 'fdnm_timm.cli.{lacking_library}'" in fails(lacking_library, '--any', 'thing')


def test_commands_work_without_the_libraries_of_others(lacking_library, capsys):
    code, out, _ = exits(capsys, '--help')
    assert code == 0 and 'not available' in out
    assert exits(capsys, 'data', '--help')[0] == 0


def test_only_what_shares_its_work_starts_under_torchrun(monkeypatch, fails, tmp_path):
    monkeypatch.setenv('WORLD_SIZE', '2')
    message = fails('compare', tmp_path)
    assert 'torchrun started 2 processes' in message and 'start `fdnm compare` without torchrun' in message
    assert 'no run' in fails('evaluate', tmp_path)  # it comes to its own checks
