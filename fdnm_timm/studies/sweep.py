"""Finished runs beside each other: seeds together, and the values of a key in their order."""
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ..config import Config
from ..data import DATASETS

__all__ = ['UNUSED', 'ConfiguredRun', 'flat_config', 'group_runs', 'sweep_runs']

# where and how fast, not what
_FREE = {
    'data.root', 'data.workers', 'data.batch_size_test', 'data.cache', 'train.use_gpu', 'train.timeout'}
_OF_CNM = ('loss.margin_cnm', 'loss.cnm_reduction', 'loss.cnm_normalize')
UNUSED = 'no effect'


class ConfiguredRun(NamedTuple):
    """A finished run."""
    name: str  # for messages
    config: Mapping[str, Any]  # by 'section.key', see `flat_config`
    results: Mapping[str, Mapping[str, Any]]  # of its settings


def flat_config(config: Config) -> Dict[str, Any]:
    """The configuration as JSON values by 'section.key'; options of the data set are keys of their own.

    What L_cnm goes by is 'no effect' where there is none.
    """
    def flat(values: Mapping[str, Any], prefix: str) -> Dict[str, Any]:
        out: Dict[str, Any] = {}
        for key, value in values.items():
            out.update(flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {f'{prefix}{key}': value})
        return out

    values = flat(config.model_dump(mode='json'), '')
    if not values['model.anm']:
        values.update(dict.fromkeys(('loss.lambda_cnm', *_OF_CNM), UNUSED))
    elif values['loss.lambda_cnm'] == 0:
        values.update(dict.fromkeys(_OF_CNM, UNUSED))
    return values


def _draws(runs: Sequence[ConfiguredRun]) -> List[str]:
    """Keys that draw another sample of the same experiment: the seed and the data set's split."""
    option, _ = getattr(DATASETS.get(runs[0].config['data.dataset']), 'splits', None) or ('', [])
    return ['train.seed', *([f'data.options.{option}'] if option else [])]


def _differing(runs: Sequence[ConfiguredRun]) -> List[str]:
    """Keys that make other experiments of the runs."""
    if not runs:
        raise ValueError('There is no run.')
    ignored = {*_FREE, *_draws(runs)}
    keys = dict.fromkeys(key for run in runs for key in run.config)
    return [
        key for key in keys if key not in ignored and len({repr(run.config.get(key)) for run in runs}) > 1]


def _require_draws_differ(runs: Sequence[ConfiguredRun], keys: Sequence[str]) -> None:
    """Raise ValueError where two runs are the same draw of the same experiment: their spread would be too small."""
    seen: Dict[Tuple[str, ...], str] = {}
    for run in runs:
        draw = tuple(repr(run.config.get(key)) for key in (*keys, *_draws(runs)))
        if draw in seen:
            raise ValueError(
                f'"{seen[draw]}" and "{run.name}" are runs of one configuration and one seed: give each once.')
        seen[draw] = run.name


def group_runs(runs: Sequence[ConfiguredRun]) -> Dict[str, List[ConfiguredRun]]:
    """Runs whose configurations differ in seed and split alone, by the values of the keys in which the groups differ.

    Raises:
        ValueError: No run, or one given twice.
    """
    keys = _differing(runs)
    _require_draws_differ(runs, keys)
    groups: Dict[str, List[ConfiguredRun]] = {}
    for run in runs:
        name = ', '.join(f'{key.split(".")[-1]}={run.config.get(key)}' for key in keys)
        groups.setdefault(name or run.config['model.name'], []).append(run)
    return groups


def sweep_runs(runs: Sequence[ConfiguredRun]) -> Dict[str, Dict[float, List[ConfiguredRun]]]:
    """For each key with several values, the runs by its value: they differ in it, in seed and split alone.

    A run may belong to the sweeps of several keys, as the default values do in Fig. 5.

    Raises:
        ValueError: Runs that differ in no number; one that differs from the others in more than one key; a key that was
            swept twice, with different values of another; a run given twice.
    """
    keys = _differing(runs)
    _require_draws_differ(runs, keys)
    found: Dict[str, Dict[float, List[ConfiguredRun]]] = {}
    for key in keys:
        several = _sweeps_of(key, keys, runs)
        if len(several) > 1:
            raise ValueError(
                f'{key} was swept {len(several)} times, with different values of '
                f'{", ".join(other for other in keys if other != key)}: draw each sweep by itself.')
        if several:
            found[key] = several[0]
    used = {run.name for sweep in found.values() for of_value in sweep.values() for run in of_value}
    left = [run.name for run in runs if run.name not in used]
    if not found or left:
        raise ValueError(
            f'A sweep is made of runs that differ in one number of the configuration, and in the seed. These runs '
            f'differ in {", ".join(keys) or "none"}'
            f'{f", and no other run differs in one number alone from {left[0]}" if left and keys else ""}.')
    return found


def _sweeps_of(
        key: str,
        keys: Sequence[str],
        runs: Sequence[ConfiguredRun],
) -> List[Dict[float, List[ConfiguredRun]]]:
    """The runs by their value of `key`, where it has several, apart by the values of the other keys.

    A run in which another key has no effect, such as the margin of L_cnm at a weight of 0, goes with any value of it;
    but where others were swept, it adds to them alone.
    """
    others = [other for other in keys if other != key]
    found: Dict[Tuple[str, ...], Dict[float, List[ConfiguredRun]]] = {}

    def add(run: ConfiguredRun, values: Tuple[str, ...]) -> None:
        found.setdefault(values, {}).setdefault(float(run.config[key]), []).append(run)

    anywhere = []
    for run in runs:
        own = tuple(repr(run.config.get(other)) for other in others)
        if _is_number(run.config.get(key)):
            if repr(UNUSED) in own:
                anywhere.append((run, own))
            else:
                add(run, own)
    swept = [values for values, sweep in found.items() if len(sweep) > 1] or list(found)
    for run, own in anywhere:
        fitting = [
            values for values in swept if all(mine in (its, repr(UNUSED)) for mine, its in zip(own, values))]
        for values in fitting or [own]:
            add(run, values)
    return [sweep for sweep in found.values() if len(sweep) > 1]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
