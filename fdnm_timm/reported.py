"""What the paper reports: every number of its Tables 1 to 5, in percent. None of it was measured here.

Paper: Frequency Domain Nuances Mining for Visible-Infrared Person Re-identification - https://arxiv.org/abs/2401.02162
"""
import csv
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

__all__ = ['SOURCE', 'Reported', 'read_reported', 'reported']

SOURCE = 'arXiv 2401.02162'


class Reported(NamedTuple):
    """One number of one table."""
    table: int
    method: str
    dataset: str
    protocol: str
    metric: str
    percent: float


@lru_cache(maxsize=1)
def read_reported() -> List[Reported]:
    """All of them, in the tables' order."""
    with open(Path(__file__).with_name('reported.csv'), newline='', encoding='utf-8') as file:
        return [
            Reported(int(row['table']), row['method'], row['dataset'], row['protocol'], row['metric'],
                     float(row['percent']))
            for row in csv.DictReader(file)
        ]


def reported(
        dataset: str,
        protocol: Optional[str],
        method: str = 'FDNM',
        table: Optional[int] = None,
) -> Dict[str, float]:
    """A row of the paper's tables, as metric: percent; empty where the paper has none.

    >>> reported('sysu_mm01', 'all')
    {'R1': 77.8, 'R10': 97.8, 'R20': 99.6, 'mAP': 75.1}
    >>> reported('roadscene', 'all')
    {}
    """
    return {
        entry.metric: entry.percent for entry in read_reported()
        if (entry.dataset, entry.protocol, entry.method) == (dataset, protocol, method)
        and table in (None, entry.table)
    }
