"""What a benchmark answers with: one number with its spread, and the bar that it is held against."""
from dataclasses import asdict, dataclass
from typing import Any, Dict, Optional, Sequence

import numpy as np

__all__ = ['Row', 'row']

_UNITS = {
    's': '{:.4g} s', 'x': '{:.3f} x', 'MB': '{:,.1f} MB', 'GFLOP': '{:,.1f} GFLOP', 'images/s': '{:,.1f} images/s'}


@dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes:
        benchmark: Name of the benchmark, as `--only` takes it.
        what: What was measured, with the shapes.
        unit: 's', 'x' (one time, size or count over another), 'MB' (10^6 bytes), 'GFLOP' (10^9 operations) or
            'images/s'.
        median: Over the repeats.
        low: Lower quartile.
        high: Upper quartile.
        repeats: Number of values.
        bar: What the median is held against, None for nothing.
        at_least: Whether the bar is a lower bound.
    """
    benchmark: str
    what: str
    unit: str
    median: float
    low: float
    high: float
    repeats: int
    bar: Optional[float] = None
    at_least: bool = False

    @property
    def met(self) -> Optional[bool]:
        """Whether the bar is met; None where there is none."""
        if self.bar is None:
            return None
        return self.median >= self.bar if self.at_least else self.median <= self.bar

    def to_json(self) -> Dict[str, Any]:
        return {**asdict(self), 'met': self.met}

    def __str__(self) -> str:
        def show(value: float) -> str:
            return _UNITS[self.unit].format(value)

        spread = '' if self.repeats < 2 else f' ({show(self.low)} to {show(self.high)})'
        bar = '' if self.bar is None else f'  bar {">=" if self.at_least else "<="} {show(self.bar)}'
        met = {None: '', True: ': met', False: ': NOT met'}[self.met]
        return f'{self.benchmark:<10} {self.what:<58} {show(self.median)}{spread}{bar}{met}'


def row(
        benchmark: str,
        what: str,
        unit: str,
        values: Sequence[float],
        bar: Optional[float] = None,
        at_least: bool = False,
) -> Row:
    """The row of the measured `values`; arguments as `Row`'s attributes."""
    low, median, high = (float(value) for value in np.percentile(values, (25, 50, 75)))
    return Row(benchmark, what, unit, median, low, high, len(values), bar, at_least)
