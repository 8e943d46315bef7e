"""Results as tables for people."""
from typing import Any, List, Mapping

from ..reported import SOURCE
from .evaluation import metrics_of

__all__ = ['format_results']


def format_results(name: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """A target's results in percent; what the paper reports stands in columns of its own."""
    metrics = metrics_of(next(iter(results.values())))
    reported = [m for m in metrics if any(m in result.get('reported', ()) for result in results.values())]
    width = max(len(name), *(len(setting) for setting in results))
    head = f'{name:<{width}}  ' + '  '.join(f'{m:>6}' for m in metrics)
    lines = [head]
    if reported:
        span = len(head) - width - 2
        lines = [
            f'{"":<{width}}  {"measured":<{span}}  | reported ({SOURCE})',
            head + '  | ' + '  '.join(f'{m:>6}' for m in reported),
        ]
    for setting, result in results.items():
        line = f'{setting:<{width}}  ' + '  '.join(f'{result[m]:{max(6, len(m))}.2f}' for m in metrics)
        if reported:
            values = result.get('reported', {})
            cells = [f'{values[m]:.1f}' if m in values else '-' for m in reported]
            line += '  | ' + '  '.join(f'{cell:>{max(6, len(m))}}' for cell, m in zip(cells, reported))
        lines.append(line + ''.join(f'  ({note})' for note in _notes(result)))
    warnings = dict.fromkeys(warning for result in results.values() for warning in result.get('warnings', []))
    return '\n'.join([*lines, *warnings])


def _notes(result: Mapping[str, Any]) -> List[str]:
    trials = len(result['trials'])
    return [
        *([f'mean of {trials} trials, sd of R1 {result["std"]["R1"]:.2f}'] if trials > 1 else []),
        *(['re-ranked'] if result['reranked'] else []), *(['flipped images too'] if result['flipped'] else []),
    ]
