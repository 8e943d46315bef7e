"""The side of `fdnm benchmark --beside` that does the work: a program that answers lines, ours or anybody's.

Its first line of input is the work as JSON (see `work.Work`). Once every job has run and is warm it prints `ready` and
the names of its jobs, then does a job for each line that names it and prints `done` when it is over, the GPU's part
too, until its input ends. Other lines that it prints are ignored.

    python -m fdnm_timm.benchmarks.program            # ours; `compiled` behind it: by torch.compile
"""
import json
import sys
from typing import Any, Callable, Dict, List

import torch

from ..allocator import keep_freed_memory
from ..metrics import rank
from .inference import embedder
from .ranking import sysu_problem
from .settings import Settings, settings_for
from .step import Side, build_step
from .timing import finish
from .work import Work, work_of

__all__ = ['serve']


def serve(jobs: Dict[str, Callable[[], Any]], device: torch.device) -> None:
    """Answer the lines of this process's input with jobs."""
    def do(job: str) -> None:
        jobs[job]()
        finish(device)

    for name in jobs:
        for _ in range(2):  # memory that is kept has grown to its size after two
            do(name)
    print('ready', *jobs, flush=True)
    for line in sys.stdin:
        do(line.strip())
        print('done', flush=True)


def _trial(settings: Settings, dim: int) -> Callable[[], Any]:
    problem = sysu_problem(*settings.sysu)
    queries, gallery = problem.pop('distmat').shape
    generator = torch.Generator().manual_seed(0)
    query, found = (torch.randn(number, dim, generator=generator) for number in (queries, gallery))
    return lambda: rank(query, found, **problem)


def _jobs(settings: Settings, compiled: bool) -> Dict[str, Callable[[], Any]]:
    """As a training run and its evaluation do them; compiling touches the training only."""
    step = build_step(Side({}, 0.5, compile=compiled), settings)
    if compiled:
        return {'step': step}
    embed = embedder({}, settings, compiled=False)
    return {'step': step, 'embed': embed, 'trial': _trial(settings, embed().shape[1])}


def main(arguments: List[str]) -> None:
    work = Work(**json.loads(sys.stdin.readline()))
    torch.set_num_threads(work.threads)
    device = torch.device(work.device)
    if device.type == 'cpu':
        keep_freed_memory()
    settings = settings_for(device, 1, work.quick)
    if work_of(settings) != work:
        raise ValueError(f'The work is {work}, but this version of the benchmark does {work_of(settings)}.')
    serve(_jobs(settings, 'compiled' in arguments), device)


if __name__ == '__main__':
    main(sys.argv[1:])
