"""What runs saved, for the commands that draw it."""
import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar

from ..config import load_config
from ..runs import config_of
from ..saved import Outcomes, RankedQuery, Samples, read_outcomes, read_ranked, read_samples
from ..studies.sweep import ConfiguredRun, flat_config

__all__ = [
    'choose_target', 'labels_of', 'outcomes_in', 'ranked_in', 'results_in', 'run_in', 'samples_in',
]

T = TypeVar('T')


def _file_of(path: Path, name: str, option: Optional[str]) -> Path:
    """`path` itself where it is such a file, else the file of that name in a run's folder."""
    if path.is_file() and path.suffix == Path(name).suffix:
        return path
    if not path.is_dir():
        raise FileNotFoundError(f'"{path}" is neither a folder that `fdnm train` left nor a file such as {name}.')
    file = path / name
    if not file.exists():
        config_of(path)
        how = f'`fdnm evaluate {path} {option} {file}` makes it' if option else \
            f'it is not finished. `fdnm train --resume {path}` finishes it'
        raise FileNotFoundError(f'The run "{path}" has no {name}: {how}.')
    return file


def results_in(path: Path) -> Dict[str, Any]:
    """A run's results.json.

    Raises:
        FileNotFoundError: There is none; the message names the command that makes it. So for all that follow.
        ValueError: It is damaged.
    """
    file = _file_of(path, 'results.json', None)
    try:
        value = json.loads(file.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'"{file}" is damaged: {error}. Restore it, or train again.') from None
    if not isinstance(value, dict) or not isinstance(value.get('results'), dict) or not value['results']:
        raise ValueError(f'"{file}" holds no results: a file such as `fdnm train` leaves is expected.')
    return value


def outcomes_in(path: Path) -> Dict[str, Dict[str, Outcomes]]:
    """Every query's outcome, by [target][setting]."""
    return read_outcomes(_file_of(path, 'outcomes.npz', '--outcomes'))


def ranked_in(path: Path) -> Dict[str, Dict[str, List[RankedQuery]]]:
    """Some queries' first places, by [target][setting]."""
    return read_ranked(_file_of(path, 'ranked.json', '--ranked'))


def samples_in(path: Path) -> Dict[str, Samples]:
    """Distances between some images' features, by target."""
    return read_samples(_file_of(path, 'samples.npz', '--samples'))


def run_in(path: Path, target: Optional[str]) -> Tuple[str, ConfiguredRun]:
    """A run's target and its configuration with the results on it."""
    target, results = choose_target(results_in(path)['results'], target, path)
    return target, ConfiguredRun(str(path), flat_config(load_config(config_of(path))), results)


def choose_target(found: Mapping[str, T], target: Optional[str], path: Path) -> Tuple[str, T]:
    """A target and what is there of it; of several, the last, by which models are chosen.

    Raises:
        ValueError: There is no such target.
    """
    if not found:
        raise ValueError(f'"{path}" holds nothing of any data set.')
    name = target or list(found)[-1]
    if name not in found:
        raise ValueError(f'"{path}" has nothing of the target {name!r}, but of {", ".join(found)}.')
    return name, found[name]


def labels_of(paths: Sequence[Path], given: Optional[Sequence[str]] = None) -> List[str]:
    """A name for each path: those given, else as many of the folders' names as tell them apart.

    Raises:
        ValueError: The number of those given is another, or a path or name is there twice.
    """
    if given:
        if len(given) != len(paths):
            raise ValueError(f'There are {len(given)} --labels, but {len(paths)} runs: give one for each.')
        if len(set(given)) < len(given):
            raise ValueError('A label is there twice: runs must be told apart.')
        return list(given)
    # from the last part of a path to the first; a file's usual name says nothing
    parts = [
        (path.parent if path.name == 'outcomes.npz' else path.with_suffix('') if path.is_file() else path)
        .resolve().parts[::-1] for path in paths]
    labels = [[of[0]] for of in parts] if len(parts) == 1 else [[] for _ in parts]
    for place in range(min(map(len, parts))):
        here = [of[place] for of in parts]
        if len(set(map(tuple, labels))) == len(parts):
            break
        if len(set(here)) > 1:
            for label, part in zip(labels, here):
                label.insert(0, part)
    if len(set(map(tuple, labels))) < len(parts):
        raise ValueError('A run is there twice: give each once.')
    return ['/'.join(label) for label in labels]
