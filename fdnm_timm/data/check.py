"""Is a data set on disk whole? Its counts beside the published ones, and every image decoded once."""
import itertools
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Deque, Dict, List, Optional, Tuple

from tqdm import tqdm

from .base import CrossModalityDataset

__all__ = ['CheckReport', 'check_dataset']


@dataclass(frozen=True)
class CheckReport:
    """What `check_dataset` found.

    Attributes:
        counts: What was found, see `CrossModalityDataset.counts`.
        published: What was published; nothing for some data sets.
        num_opened: Images that were opened.
        unreadable: Path and reason of each image that cannot be read.
    """
    counts: Dict[str, int]
    published: Dict[str, int]
    num_opened: int
    unreadable: List[Tuple[str, str]]

    @property
    def differing(self) -> List[str]:
        """Names of the counts that are not as published."""
        return [name for name, expected in self.published.items() if self.counts.get(name) != expected]

    @property
    def ok(self) -> bool:
        """Whether every opened image can be read and every count is as published."""
        return not self.unreadable and not self.differing


def check_dataset(
        dataset: CrossModalityDataset,
        images: bool = True,
        progress: bool = False,
        workers: Optional[int] = None,
) -> CheckReport:
    """Count a data set and decode each image of its training and test records once.

    Args:
        dataset: The data set.
        images: False leaves the images alone.
        progress: Show a progress bar.
        workers: Threads that decode, >= 1; by default one a processor, up to 8.

    Returns:
        The report. No more than a few images a thread are held at a time.
    """
    if workers is None:
        workers = min(8, os.cpu_count() or 1)
    if workers < 1:
        raise ValueError(f'workers is {workers}, but at least 1 thread must decode.')
    paths = list(dict.fromkeys(path for path, _, _ in itertools.chain(dataset.train, dataset.test))) if images else []

    def reason(path: str) -> Optional[str]:
        try:
            dataset.load(path)
        except Exception as error:  # a decoder may raise anything, and one bad image is no reason to stop
            return str(error) or type(error).__name__
        return None

    unreadable: List[Tuple[str, str]] = []
    pending: Deque[Tuple[str, Future[Optional[str]]]] = deque()
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(paths), unit='img', disable=not progress) as bar:

        def take() -> None:
            path, future = pending.popleft()
            found = future.result()
            if found is not None:
                unreadable.append((path, found))
            bar.update()

        for path in paths:
            pending.append((path, pool.submit(reason, path)))
            if len(pending) >= 8 * workers:
                take()
        while pending:
            take()
    return CheckReport(dataset.counts(), dict(dataset.published), len(paths), unreadable)
