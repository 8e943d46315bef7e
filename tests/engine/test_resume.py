"""A run that is broken off, in whatever way, goes on to the same end."""
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fdnm_timm.cli import main
from fdnm_timm.engine import LAST, CheckpointError, read_checkpoint

from .helpers import small_engine, small_manager

SETTINGS = [
    'model.name=fdnm_resnet18', 'model.pretrained=false', 'model.drop_rate=0.3', 'data.height=48', 'data.width=24',
    'data.num_ids=4', 'data.num_instances=2', 'data.workers=0', 'data.pad=2', 'data.hold_out=3', 'train.epochs=4',
    'train.eval_freq=2', 'optim.lr=0.01', 'optim.warmup_epochs=2', 'optim.milestones=[3]',
]


def command(root: Path, run: Path) -> list:
    args = ['train', '--dataset', 'sysu_mm01', '--root', str(root), '--save-dir', str(run), '--quiet']
    return args + [part for setting in SETTINGS for part in ('--set', setting)]


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background has it ignored, and hands that on


def start(args: list, **kwargs) -> subprocess.Popen:
    kwargs.setdefault('preexec_fn', _hear_interrupts)
    return subprocess.Popen(
        [sys.executable, '-m', 'fdnm_timm', *args], env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)


def wait_for(path: Path, process: subprocess.Popen) -> None:
    for _ in range(12000):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError(f'no "{path}" after two minutes')


@pytest.fixture(scope='module')
def unbroken(sysu_tree, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp('unbroken') / 'run'
    assert main(command(sysu_tree, run)) == 0
    return run


def check_same_end(run: Path, unbroken: Path) -> None:
    a, b = (json.loads((folder / 'results.json').read_text()) for folder in (run, unbroken))
    assert [entry['epoch'] for entry in a['history']] == [1, 2, 3, 4]
    assert a == b  # every loss of every epoch, the metrics, and which was best: to the last digit
    first, second = (read_checkpoint(folder / 'model' / LAST)['state_dict'] for folder in (run, unbroken))
    assert all(torch.equal(first[name], second[name]) for name in second)


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGINT])
def test_broken_off_in_the_middle_of_an_epoch(sysu_tree, tmp_path, unbroken, how):
    run = tmp_path / 'run'
    process = start(command(sysu_tree, run))
    wait_for(run / 'model' / LAST, process)  # the first epoch is over
    time.sleep(0.1)
    process.send_signal(how)
    out, _ = process.communicate()
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    assert not (run / 'results.json').exists()
    if how == signal.SIGINT:
        assert f'Continue with: fdnm train --resume {run}' in out
    done = read_checkpoint(run / 'model' / LAST)['epoch']
    assert 1 <= done < 4
    assert main(['train', '--resume', str(run), '--quiet']) == 0
    check_same_end(run, unbroken)


def test_resume_before_the_first_epoch_and_between_epoch_and_evaluation(sysu_tree, tmp_path, unbroken, monkeypatch):
    from fdnm_timm.engine import FDNMEngine

    class _Gone(BaseException):
        pass

    def _gone(*args, **kwargs):
        raise _Gone

    run = tmp_path / 'run'
    with monkeypatch.context() as patch, pytest.raises(_Gone):
        patch.setattr(FDNMEngine, 'forward_backward', _gone)
        main(command(sysu_tree, run))
    with monkeypatch.context() as patch, pytest.raises(_Gone):
        patch.setattr(FDNMEngine, 'test', _gone)  # after epoch 2, before its evaluation
        main(['train', '--resume', str(run), '--quiet'])
    assert read_checkpoint(run / 'model' / LAST)['epoch'] == 2
    with monkeypatch.context() as patch, pytest.raises(_Gone):
        patch.setattr(FDNMEngine, '_write_state', _gone)
        main(['train', '--resume', str(run), '--quiet'])
    assert main(['train', '--resume', str(run), '--quiet']) == 0
    check_same_end(run, unbroken)


def test_a_finished_run_is_not_touched(unbroken, capsys):
    before = {path: path.stat().st_mtime_ns for path in unbroken.rglob('*')}
    assert main(['train', '--resume', str(unbroken)]) == 2
    assert 'is finished' in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in unbroken.rglob('*')}


def test_resume_takes_the_runs_own_config(unbroken, tmp_path, capsys):
    assert main(['train', '--resume', str(unbroken), '--seed', '3']) == 2
    assert "--resume takes the run's own config" in capsys.readouterr().err
    assert main(['train', '--resume', str(tmp_path)]) == 2
    assert 'is no run' in capsys.readouterr().err


def test_damaged_checkpoint_is_named(sysu_tree, tmp_path):
    manager = small_manager(sysu_tree)
    (tmp_path / 'model').mkdir()
    file = tmp_path / 'model' / LAST
    for content, message in (
            (b'no checkpoint', f'{file}" cannot be read'), (None, 'holds list, but a dictionary with "state_dict"')):
        if content is None:
            torch.save([1, 2], file)
        else:
            file.write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            small_engine(manager).run(save_dir=str(tmp_path), max_epoch=2, resume=True)
    with pytest.raises(CheckpointError, match='There is no checkpoint'):
        read_checkpoint(tmp_path / 'absent')


def test_checkpoint_of_another_model_is_refused(sysu_tree, tmp_path):
    manager = small_manager(sysu_tree)
    small_engine(manager).save_model(0, 0.1, str(tmp_path))
    with pytest.raises(CheckpointError, match='does not fit the model'):
        small_engine(manager, model=dict(anm=False)).run(save_dir=str(tmp_path), max_epoch=2, resume=True)
    with pytest.raises(CheckpointError, match='holds no "scheduler"'):
        small_engine(manager, scheduler=False).save_model(0, 0.1, str(tmp_path))
        small_engine(manager).run(save_dir=str(tmp_path), max_epoch=2, resume=True)


def test_full_disk_is_said_before_training(sysu_tree, tmp_path, monkeypatch):
    import shutil
    engine = small_engine(small_manager(sysu_tree))
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(100, 99, 1))
    monkeypatch.setattr(engine, 'forward_backward', lambda data: pytest.fail('trained'))
    with pytest.raises(OSError, match=r'0 MiB free, but .* need about \d\d\d MiB'):
        engine.run(save_dir=str(tmp_path / 'run'), max_epoch=1)
    assert not (tmp_path / 'run').exists()


def test_disk_that_fills_up_on_the_way(sysu_tree, tmp_path, unbroken):
    """The write of a checkpoint fails for real, by a limit on file sizes; the run is whole and goes on later."""
    run = tmp_path / 'run'

    def _limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 ** 20, 2 ** 20))

    process = start(command(sysu_tree, run), preexec_fn=_limit)
    _, err = process.communicate()
    assert process.returncode == 2 and 'Cannot write the checkpoint' in err and 'resume the run' in err
    assert list((run / 'model').iterdir()) == []  # no half-written file
    assert main(['train', '--resume', str(run), '--quiet']) == 0
    check_same_end(run, unbroken)
