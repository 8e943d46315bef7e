"""The processes that train one model together, as torchrun starts them; or one alone, which is the usual case."""
import inspect
import os
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Callable, Iterator, List, Sequence, Tuple, TypeVar

import torch
import torch.distributed as dist
from timm.utils import distribute_bn

__all__ = ['PeerError', 'Processes', 'joined']

T = TypeVar('T')
_CPU = torch.device('cpu')


class PeerError(RuntimeError):
    """Another of the processes ended or does not answer."""


class _GatherRows(torch.autograd.Function):
    """Rows of all processes, in the order of their ranks.

    Every process makes the same loss of them all, so the slice of its own rows is their exact gradient, and backward
    needs no communication. DistributedDataParallel averages over the processes what has to be added up: hence the
    factor.
    """

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, rank: int, size: int) -> torch.Tensor:
        ctx.rank, ctx.size = rank, size
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(size)]
        dist.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Tuple[torch.Tensor, None, None]:
        return ctx.size * gradients[0].chunk(ctx.size)[ctx.rank], None, None


class Processes:
    """One of the processes that train a model together, and what they do in common.

    `Processes()` is one process alone: every method is then the identity, and torch.distributed is not touched.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        """
        Args:
            rank: Number of this process, from 0.
            size: Number of the processes; more than one share torch.distributed's default group.
        """
        self.rank = rank
        self.size = size

    @property
    def alone(self) -> bool:
        return self.size == 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes, prints and ranks."""
        return self.rank == 0

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (B, ...) of every process -> (size * B, ...), with gradients; B must be the same everywhere."""
        return rows if self.alone else _GatherRows.apply(rows, self.rank, self.size)

    def shard(self, items: Sequence[T]) -> Sequence[T]:
        """The items that fall to this process; `collect` puts what was made of them in order again."""
        return items if self.alone else items[self.rank::self.size]

    def collect(self, rows: torch.Tensor, total: int) -> torch.Tensor:
        """Rows (n, D) on the CPU, one for each item of `shard`, of all processes -> (total, D) in the items' order.

        On the main process only; the others get (0, D).
        """
        if self.alone:
            return rows
        padded = rows.new_zeros(-(-total // self.size), rows.shape[1])
        padded[:len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(self.size)] if self.is_main else None
        dist.gather(padded, parts)
        # item i is row i // size of process i % size
        return rows[:0] if parts is None else torch.stack(parts, dim=1).flatten(0, 1)[:total]

    def from_main(self, make: Callable[[], T]) -> T:
        """What the main process makes, given to all; where it fails there, it fails on all of them.

        Raises:
            PeerError: On the other processes, where `make` raised.
        """
        if self.alone:
            return make()
        box: List[Any] = [None, None]
        if self.is_main:
            try:
                box[0] = make()
            except Exception as error:
                dist.broadcast_object_list([None, str(error)], src=0, device=_CPU)
                raise
        dist.broadcast_object_list(box, src=0, device=_CPU)
        if box[1] is not None:
            raise PeerError(f'Process 0 of {self.size} ended: {box[1]}')
        return box[0]

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let the main process through first, so that what it draws, downloads or caches is there for the others."""
        if not self.is_main:
            self._meet()
        yield
        if self.is_main:
            self._meet()
        self._meet()

    def _meet(self) -> None:
        if not self.alone:
            dist.all_reduce(torch.zeros(1, device=_CPU))  # a barrier would take the GPU's way

    def parallel(self, model: torch.nn.Module) -> torch.nn.Module:
        """`model` with the mean of all processes' gradients after a backward pass; it starts everywhere as on the main
        process.

        All that requires gradients must take part in every step (no find_unused_parameters): in metric training it
        does, since the sampler gives every process images of both modalities, one for each stem, and both the logits
        and the features behind them go into the loss.
        """
        if self.alone:
            return model
        device = next(model.parameters()).device
        wrapper: Any = torch.nn.parallel.DistributedDataParallel
        # newer torch has another name for it; `share_statistics` makes one of what the processes have seen
        syncing = next(name for name in ('forward_sync_buffers', 'broadcast_buffers')
                       if name in inspect.signature(wrapper).parameters)
        return wrapper(model, device_ids=[device.index] if device.type == 'cuda' else None, **{syncing: False})

    def share_statistics(self, model: torch.nn.Module) -> None:
        """Give every process the mean of all processes' batch norm statistics."""
        if not self.alone:
            distribute_bn(model, self.size, reduce=True)


def _take_gpu() -> None:
    place, found = int(os.environ.get('LOCAL_RANK', '0')), torch.cuda.device_count()
    if place >= found:
        raise ValueError(
            f'Process {place} of this machine finds {found} GPUs, but each process needs one of its own: start at most '
            f'{found} (torchrun --nproc-per-node {found}), or train on the CPU with train.use_gpu=false.')
    torch.cuda.set_device(place)


def _is_of_peers(error: RuntimeError) -> bool:
    """Gloo raises plain RuntimeErrors, in part from within a backward pass."""
    return isinstance(error, dist.DistError) or any(name in str(error).lower() for name in ('gloo', 'nccl'))


@contextmanager
def joined(use_gpu: bool = True, timeout: float = 1800.) -> Iterator[Processes]:
    """Join the processes that torchrun (or whatever sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT) started.

    With one process, or without these variables, `Processes()`. Each process takes the GPU of its LOCAL_RANK; tensors
    there go by NCCL, those on the CPU by Gloo.

    Args:
        use_gpu: Use GPUs where there are some.
        timeout: Seconds that a process waits for another.

    Raises:
        ValueError: A variable is missing, or the machine has too few GPUs.
        PeerError: Another process ended, or did not answer in time.
    """
    if int(os.environ.get('WORLD_SIZE', '1')) == 1:
        yield Processes()
        return
    gpu = use_gpu and torch.cuda.is_available()
    if gpu:
        _take_gpu()
    rank, size = os.environ.get('RANK', '?'), os.environ['WORLD_SIZE']
    try:
        dist.init_process_group('cpu:gloo,cuda:nccl' if gpu else 'gloo', timeout=timedelta(seconds=timeout))
        yield Processes(dist.get_rank(), dist.get_world_size())
    except RuntimeError as error:
        if isinstance(error, PeerError) or not _is_of_peers(error):
            raise
        raise PeerError(
            f'Process {rank} of {size} lost another: it ended, or gave no answer within {timeout:g} seconds '
            f'({str(error).splitlines()[0]}). What it printed says why. Started again, train '
            f'goes on with --resume, and extract with the same command.') from error
    # not after an error: the group's end would wait for processes that are no more
    dist.destroy_process_group()
