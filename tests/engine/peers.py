"""One of the processes of test_distributed.py: `python -m tests.engine.peers ROOT OUT PORT...`, with torchrun's
variables set. What it finds goes to OUT/RANK.pt."""
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import torch
import torch.distributed as dist

from fdnm_timm.cli import main
from fdnm_timm.distributed import Processes, joined
from fdnm_timm.engine import FDNMEngine

from .helpers import small_engine, small_manager

WAIT = 3.  # seconds until a peer that hangs is given up
SETTINGS = [
    'model.name=fdnm_resnet18', 'model.pretrained=false', 'data.height=32', 'data.width=16', 'data.num_ids=4',
    'data.num_instances=4', 'data.workers=0', 'data.hold_out=2', 'train.epochs=1', 'train.use_gpu=false',
]


class StillNorms(FDNMEngine):
    """In float64, and with batch norms at rest: each process's would see its own part of a batch only."""

    def two_stepped_transfer_learning(self, *args: Any, **kwargs: Any) -> None:
        super().two_stepped_transfer_learning(*args, **kwargs)  # where torchreid sets the layers' modes
        for module in self.model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()

    def parse_data_for_train(self, data: Any) -> Tuple[torch.Tensor, ...]:
        images, *labels = super().parse_data_for_train(data)
        return (images.double(), *labels)

    def parse_data_for_eval(self, data: Any) -> Tuple[torch.Tensor, ...]:
        images, modality = super().parse_data_for_eval(data)
        return images.double(), modality


def still_engine(root: Path, processes: Processes, **kwargs: Any) -> FDNMEngine:
    manager = small_manager(
        root, height=32, width=16, num_instances=4, held_out=2, rank=processes.rank, num_replicas=processes.size)
    engine = small_engine(manager, cls=StillNorms, processes=processes, dtype=torch.float64, **kwargs)
    return engine


def train(root: Path, folder: Path, processes: Processes) -> Dict[str, Any]:
    """Two epochs, the first of the heads only, and a third after a new start from the checkpoint."""
    options: Dict[str, Any] = dict(save_dir=str(folder), fixbase_epoch=1, open_layers='head', eval_freq=1)
    still_engine(root, processes, accumulate=2).run(max_epoch=2, **options)
    engine = still_engine(root, processes, accumulate=2, seed=1 + processes.rank)  # its weights are not those
    engine.run(max_epoch=3, resume=True, **options)
    records = engine.datamanager.datasets['sysu_mm01'].query
    return {
        'history': engine.history, 'best': engine.best, 'results': json.loads(json.dumps(engine.results)),
        'model': engine.model.state_dict(), 'optimizer': engine.optimizer.state_dict(),
        'embedded': {number: engine.embed('sysu_mm01', records[:number], flip=True) for number in (1, 7)},
        'wrote': folder.exists(),
    }


def command_line(root: Path, folder: Path) -> List[str]:
    args = ['train', '--dataset', 'sysu_mm01', '--root', str(root), '--save-dir', str(folder), '--quiet']
    return args + [part for setting in SETTINGS for part in ('--set', setting)]


def _fail() -> None:
    raise ValueError('no query has a match')


def _error_of(function: Callable[[], Any]) -> Tuple[str, str]:
    try:
        function()
    except Exception as error:
        return type(error).__name__, str(error)
    return '', ''


def parts(processes: Processes) -> Dict[str, Any]:
    norm = torch.nn.BatchNorm2d(1)
    norm.running_mean.fill_(processes.rank)
    processes.share_statistics(norm)
    return {'error': _error_of(lambda: processes.from_main(_fail)), 'mean': norm.running_mean.item()}


def hang(rank: int) -> Any:
    """The error on process 0 where process 1 gives no answer, and how long it took."""
    start = time.monotonic()
    with joined(use_gpu=False, timeout=WAIT) as processes:
        if rank:
            time.sleep(2 * WAIT)
        else:
            processes.gather(torch.zeros(2))
    return time.monotonic() - start


def die(rank: int) -> None:
    with joined(use_gpu=False) as processes:
        if rank:
            os.kill(os.getpid(), signal.SIGKILL)
        processes.gather(torch.zeros(2))


def run(root: Path, out: Path, ports: List[str]) -> None:
    rank = int(os.environ['RANK'])

    def _next_group() -> None:
        os.environ['MASTER_PORT'] = ports.pop(0)

    torch.set_num_threads(1)
    found: Dict[str, Any] = {}
    _next_group()
    with joined(use_gpu=False, timeout=120) as processes:
        assert isinstance(processes, Processes) and not processes.alone
        found.update(parts(processes), **train(root, out / f'run{rank}', processes))
    folder = out / 'commands'
    _next_group()
    found['train'] = main(command_line(root, folder))
    _next_group()
    found['evaluate'] = main(['evaluate', str(folder), '--quiet', '--out', str(out / f'evaluated{rank}.json'),
                              '--set', 'data.num_ids=3'])  # which two processes could not train with
    _next_group()
    found['hung'] = _error_of(lambda: hang(rank))
    if dist.is_initialized():
        dist.destroy_process_group()
    torch.save(found, out / f'{rank}.pt')
    _next_group()
    start = time.monotonic()
    found['died'] = _error_of(lambda: die(rank))
    found['died_after'] = time.monotonic() - start
    torch.save(found, out / f'{rank}.pt')


if __name__ == '__main__':
    run(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
