"""How large the benchmarks are, and where they run."""
from dataclasses import dataclass
from typing import Any, Callable, Tuple, TypeVar

import torch

from ..fused import compiler_available
from .child import in_child

__all__ = ['Settings', 'settings_for']

Shape = Tuple[int, int, int, int]
T = TypeVar('T')


@dataclass(frozen=True)
class Settings:
    """Shapes and conditions of all benchmarks.

    Attributes:
        device: Where the networks run; data and ranking stay on the CPU.
        repeats: Values of each number.
        compiled: Whether compiled forms are measured too.
        agp: Shape of AGP's map.
        anm: Shape of ANM's map.
        model: Of the training step and of inference.
        image: Height and width.
        num_ids: Identities of a training batch.
        num_instances: Images of an identity and modality in it.
        inference_batch: Images of an inference batch.
        loaded: Images of the smaller of two data sets.
        workers: Loader processes.
        sysu: Queries and gallery of a SYSU-MM01 trial.
        regdb: Of RegDB.
        large: Queries, and the smaller of two galleries, of which the memory is measured.
        search: Galleries of a search: images, dimensions, and the kinds of index, the first of which is exact.
        search_queries: Queries of it.
        beside: Names of other people's programs, and the command of each with its arguments.
        quick: Only show that everything runs: no bars, and no fresh processes to measure memory in.
    """
    device: torch.device
    repeats: int
    compiled: bool
    agp: Shape = (48, 256, 96, 48)
    anm: Shape = (48, 2048, 24, 12)
    model: str = 'fdnm_resnet50'
    image: Tuple[int, int] = (384, 192)
    num_ids: int = 6
    num_instances: int = 4
    inference_batch: int = 64
    loaded: int = 600
    workers: int = 2
    sysu: Tuple[int, int] = (3803, 301)
    regdb: Tuple[int, int] = (2060, 2060)
    large: Tuple[int, int] = (2000, 100_000)
    search: Tuple[Tuple[int, int, Tuple[str, ...]], ...] = (
        (100_000, 512, ('flat', 'ivf', 'hnsw')), (1_000_000, 512, ('flat', 'ivf')), (20_000, 20_480, ('flat',)))
    search_queries: int = 1000
    beside: Tuple[Tuple[str, Tuple[str, ...]], ...] = ()
    quick: bool = False

    @property
    def step_batch(self) -> int:
        return 2 * self.num_ids * self.num_instances

    def apart(self, job: Callable[..., T], *args: Any) -> T:
        """What `job(*args)` returns, in a fresh process unless in a hurry."""
        return job(*args) if self.quick else in_child(job, *args)


def settings_for(device: torch.device, repeats: int, quick: bool = False) -> Settings:
    """The settings of a run.

    Args:
        device: Where the networks run.
        repeats: Values of each number.
        quick: Tiny shapes, which only show that everything runs: nothing is compiled, and nothing is judged.

    Returns:
        The design's shapes on a GPU. On a CPU, batches of 2 identities in place of 6 for whole networks: one step of
        ResNet-50 is then a matter of seconds, and fits 24 GiB. Compiled forms where there is a compiler.
    """
    if quick:
        return Settings(
            device, repeats, compiled=False, agp=(2, 8, 12, 6), anm=(2, 8, 6, 3), model='fdnm_resnet18',
            image=(64, 32), num_ids=2, num_instances=2, inference_batch=2, loaded=12, workers=0, sysu=(60, 40),
            regdb=(40, 40), large=(20, 200), search=((500, 16, ('flat', 'hnsw')), (3000, 16, ('flat', 'ivf'))),
            search_queries=20, quick=True)
    compiled = compiler_available(device.type)
    if device.type == 'cuda':
        return Settings(device, repeats, compiled)
    return Settings(device, repeats, compiled, num_ids=2, inference_batch=16)
