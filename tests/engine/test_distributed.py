"""Two processes on the CPU do what one does: the same losses, gradients, weights and metrics."""
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import pytest
import torch

from fdnm_timm.distributed import PeerError, Processes, _is_of_peers, joined
from fdnm_timm.engine import LAST

from .helpers import small_engine, small_manager
from .peers import WAIT, command_line, train

ROOT = Path(__file__).parents[2]


def free_ports(number: int) -> List[str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for opened in sockets:
            opened.bind(('127.0.0.1', 0))
        return [str(opened.getsockname()[1]) for opened in sockets]


class Peers(NamedTuple):
    found: List[Dict[str, Any]]  # by both processes
    printed: List[str]
    codes: List[int]
    folder: Path


@pytest.fixture(scope='module')
def peers(sysu_tree, tmp_path_factory) -> Peers:
    """All that two processes do, in one go: starting them takes longer than what they do."""
    folder, ports = tmp_path_factory.mktemp('peers'), free_ports(5)
    started = [subprocess.Popen(
        [sys.executable, '-m', 'tests.engine.peers', str(sysu_tree), str(folder), *ports], cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'RANK': str(rank), 'WORLD_SIZE': '2', 'LOCAL_RANK': str(rank),
             'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': ports[0], 'PYTHONPATH': str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for rank in range(2)]
    ended = [process.communicate(timeout=500) for process in started]
    for rank, (_, err) in enumerate(ended):
        assert (folder / f'{rank}.pt').exists(), err
    return Peers(
        [torch.load(folder / f'{rank}.pt', weights_only=True) for rank in range(2)], [out for out, _ in ended],
        [process.returncode for process in started], folder)


@pytest.fixture(scope='module')
def alone(sysu_tree, tmp_path_factory) -> Dict[str, Any]:
    return train(sysu_tree, tmp_path_factory.mktemp('alone') / 'run', Processes())


def test_losses_and_metrics_are_those_of_one_process(peers, alone):
    for found in peers.found:
        assert len(found['history']) == 3
        for entry, expected in zip(found['history'], alone['history'], strict=True):
            assert entry.keys() == expected.keys() and {'loss_id', 'loss_tri', 'loss_cnm'} <= entry.keys()
            assert entry == pytest.approx(expected, rel=1e-9, abs=1e-12)
        for name, expected in alone['results']['sysu_mm01'].items():
            result = found['results']['sysu_mm01'][name]
            for metric in ('R1', 'R5', 'R10', 'R20', 'mAP', 'mINP'):
                assert result[metric] == pytest.approx(expected[metric], abs=1e-6)
        assert found['best'] == pytest.approx(alone['best'])


def test_gradients_are_those_of_one_process(peers, alone):
    """By what they left: the weights and the momentum."""
    for found in peers.found:
        for name, expected in alone['model'].items():
            torch.testing.assert_close(found['model'][name], expected, rtol=1e-9, atol=1e-10)
        assert max(float(s['momentum_buffer'].abs().max()) for s in alone['optimizer']['state'].values()) > 1e-3
        for state, expected in zip(found['optimizer']['state'].values(), alone['optimizer']['state'].values()):
            torch.testing.assert_close(state['momentum_buffer'], expected['momentum_buffer'], rtol=1e-7, atol=1e-9)
    assert all(torch.equal(a, b) for a, b in zip(*(found['model'].values() for found in peers.found)))


@pytest.mark.parametrize('number', [1, 7])  # one process gets nothing, or less
def test_uneven_shards_are_put_in_order(peers, alone, number):
    main, other = (found['embedded'][number] for found in peers.found)
    torch.testing.assert_close(main, alone['embedded'][number], rtol=1e-5, atol=1e-6)
    assert other.shape == (0, main.shape[1])


def test_only_the_main_process_writes_and_prints(peers, sysu_tree):
    assert [found['wrote'] for found in peers.found] == [True, False]
    assert 'Final test' in peers.printed[0] and peers.printed[1] == ''
    assert json.loads((peers.folder / 'run0' / 'environment.json').read_text())['processes'] == 2


def test_command_line(peers):
    assert [(found['train'], found['evaluate']) for found in peers.found] == [(0, 0), (0, 0)]
    run = peers.folder / 'commands'
    assert (run / 'hub' / 'config.json').exists() and (run / 'outcomes.npz').exists()
    assert len(list(run.glob('events.out.*'))) == 1
    assert not (peers.folder / 'evaluated1.json').exists()
    trained = json.loads((run / 'results.json').read_text())['results']['sysu_mm01']
    evaluated = json.loads((peers.folder / 'evaluated0.json').read_text())['results']['sysu_mm01']
    for setting, result in trained.items():
        assert evaluated[setting]['mAP'] == pytest.approx(result['mAP'], abs=1e-9)
    assert peers.printed[0].count(f'The run is in "{run}"') == 1


def test_statistics_are_averaged(peers):
    assert [found['mean'] for found in peers.found] == [0.5, 0.5]


def test_failure_of_the_main_process_reaches_the_others(peers):
    assert peers.found[0]['error'] == ('ValueError', 'no query has a match')
    assert peers.found[1]['error'] == ('PeerError', 'Process 0 of 2 ended: no query has a match')


def test_peer_that_hangs_is_given_up(peers):
    kind, message = peers.found[0]['hung']
    assert kind == 'PeerError'
    assert f'Process 0 of 2 lost another: it ended, or gave no answer within {WAIT:g} seconds' in message


def test_peer_that_dies_is_noticed(peers):
    """Without torchrun, and long before the time limit of half an hour."""
    kind, message = peers.found[0]['died']
    assert kind == 'PeerError' and 'goes on with --resume' in message
    assert peers.found[0]['died_after'] < 60
    assert peers.codes == [0, -signal.SIGKILL]


def _worker(parent: int, rank: str) -> int:
    """Process id of torchrun's worker of that rank."""
    for children in Path(f'/proc/{parent}/task').glob('*/children'):
        for pid in map(int, children.read_text().split()):
            if f'RANK={rank}' in Path(f'/proc/{pid}/environ').read_text().split('\0'):
                return pid
    raise AssertionError(f'torchrun has no worker of rank {rank}')


@pytest.mark.skipif(not Path('/proc/self/environ').exists(), reason='finds the worker in /proc')
def test_killed_worker_ends_torchrun(sysu_tree, tmp_path):
    run = tmp_path / 'run'
    command = command_line(sysu_tree, run) + ['--set', 'train.epochs=1000']
    process = subprocess.Popen(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2', '--master-port', *free_ports(1), '-m',
         'fdnm_timm.cli', *command],
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        limit = time.monotonic() + 300
        while not (run / 'model' / LAST).exists():
            assert process.poll() is None and time.monotonic() < limit, process.communicate()
            time.sleep(0.05)
        os.kill(_worker(process.pid, '1'), signal.SIGKILL)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1 and 'Signal 9 (SIGKILL)' in err


def test_one_process_leaves_torch_distributed_alone(sysu_tree, monkeypatch):
    import torch.distributed as dist
    for name in ('all_gather', 'all_reduce', 'broadcast_object_list', 'gather', 'init_process_group'):
        monkeypatch.setattr(dist, name, lambda *args, **kwargs: pytest.fail('torch.distributed is used'))
    monkeypatch.setenv('WORLD_SIZE', '1')
    with joined() as processes:
        assert processes.alone and processes.is_main
        with processes.main_first():
            engine = small_engine(small_manager(sysu_tree, height=32, width=16), processes=processes)
        assert processes.parallel(engine.model) is engine.model
        engine.epoch = 0
        engine.step(torch.rand(8, 3, 32, 16), torch.tensor([0, 1] * 4), torch.tensor([0, 0, 1, 1] * 2))
        engine.processes.share_statistics(engine.model)
        assert engine.embed('sysu_mm01', engine.datamanager.datasets['sysu_mm01'].query[:2]).shape[0] == 2


def test_other_errors_pass(monkeypatch):
    with pytest.raises(RuntimeError, match='out of memory') as caught, joined():
        raise RuntimeError('CUDA out of memory')
    assert not isinstance(caught.value, PeerError) and not _is_of_peers(caught.value)
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ValueError, match='RANK expected'), joined():
        pass


def test_sync_bn_is_for_gpus(sysu_tree, monkeypatch):
    """That every norm is replaced and every parameter and statistic kept; that it works needs GPUs."""
    manager = small_manager(sysu_tree)
    with pytest.raises(ValueError, match='synchronised batch norms need a GPU'):
        small_engine(manager, processes=Processes(0, 2), sync_bn=True, use_gpu=False)
    plain = small_engine(manager, use_gpu=False, processes=Processes(0, 2)).model
    assert not any(isinstance(m, torch.nn.SyncBatchNorm) for m in plain.modules())
    monkeypatch.setattr('fdnm_timm.engine.engine.FDNMEngine._check_gpu', lambda *args: None)
    engine = small_engine(manager, processes=Processes(0, 2), sync_bn=True, use_gpu=False)
    norms = [m for m in engine.model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms and all(isinstance(m, torch.nn.SyncBatchNorm) for m in norms)
    assert engine.model.state_dict().keys() == plain.state_dict().keys()
    mine = {id(p) for group in engine.optimizer.param_groups for p in group['params']}
    assert mine == {id(p) for p in engine.model.parameters()}
