"""Results as tables for people and as files."""
from pathlib import Path
from typing import Any, Dict, List, Mapping

import numpy as np

from ..files import replacing
from ..reported import SOURCE
from .evaluation import Outcomes, metrics_of

__all__ = ['format_results', 'read_outcomes', 'write_outcomes']


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


# 32 bits hold every other value
_WIDE = ('distances', 'distance_means')
_NARROW = {'i': np.int32, 'f': np.float32}


def write_outcomes(path: Path, outcomes: Mapping[str, Mapping[str, Outcomes]]) -> None:
    """Every query's outcome, of [target][setting], as an .npz with keys 'target/setting/field'."""
    arrays = {
        f'{target}/{setting}/{field}': value if field in _WIDE else value.astype(
            _NARROW.get(value.dtype.kind, value.dtype))
        for target, settings in outcomes.items() for setting, outcome in settings.items()
        for field, value in outcome._asdict().items()
    }
    with replacing(path) as temporary, open(temporary, 'wb') as file:
        np.savez_compressed(file, **arrays)


def read_outcomes(path: Path) -> Dict[str, Dict[str, Outcomes]]:
    """What `write_outcomes` wrote; what an older version did not write keeps its default.

    Raises:
        OSError: The file is missing.
        ValueError: It is damaged, or holds something else.
    """
    found: Dict[str, Dict[str, Dict[str, np.ndarray]]] = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in file.files:
                target, setting, field = key.split('/')
                found.setdefault(target, {}).setdefault(setting, {})[field] = file[key]
        return {t: {s: Outcomes(**fields) for s, fields in settings.items()} for t, settings in found.items()}
    except OSError:
        raise
    except Exception as error:  # NumPy's, zipfile's and zlib's, as the damage has it
        raise ValueError(
            f'"{path}" is damaged, or holds no outcomes: {error}. Make it again with '
            f'`fdnm evaluate RUN --outcomes {path}`.') from error
