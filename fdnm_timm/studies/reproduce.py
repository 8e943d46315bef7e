"""Which runs a study needs, and doing those that are missing."""
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from ..config import Config, load_config, recipe_path
from ..data import DATASETS
from ..runs import is_finished, train_run
from .rows import ROWS, STUDIES

__all__ = ['Job', 'plan', 'run_jobs']

# where and how fast, not what
_FREE = {'data': ('root', 'workers', 'batch_size_test', 'cache'), 'train': ('use_gpu', 'timeout')}
# of no effect where there is no L_cnm
_OF_CNM = ('lambda_cnm', 'margin_cnm', 'cnm_reduction', 'cnm_normalize')


class Job(NamedTuple):
    """One run of a row."""
    row: str
    seed: int
    split: Optional[int]  # of data sets that are split several times, with a model for each
    folder: Path
    config: Config


def plan(
        study: str,
        dataset: str,
        root: str,
        out: Path,
        seeds: Sequence[int] = (0, 1, 2),
        rows: Optional[Sequence[str]] = None,
        settings: Sequence[str] = (),
        config: Optional[Path] = None,
) -> List[Job]:
    """The runs of a study, seed by seed.

    Args:
        study: Name in `STUDIES`.
        dataset: Name of the data set.
        root: Its folder or that one's parent.
        out: Runs lie in `out`/DATASET/ROW/, where other studies find them too.
        seeds: One run each.
        rows: Some of the study's rows only.
        settings: 'section.key=value' over the recipe's, for every row.
        config: In place of the data set's recipe.

    Raises:
        ValueError: An unknown study or row, or one that is not of the study.
        ConfigError: The settings do not fit.
    """
    if study not in STUDIES:
        raise ValueError(f'There is no study {study!r}. Known are {", ".join(STUDIES)}.')
    unknown = [row for row in rows or () if row not in STUDIES[study].rows]
    if unknown:
        raise ValueError(f'{study} has no row {unknown[0]!r}. Its rows are {", ".join(STUDIES[study].rows)}.')
    if not seeds:
        raise ValueError('No seed was given: at least one run a row is needed.')
    option, numbers = getattr(DATASETS.get(dataset), 'splits', None) or ('', [])
    splits: List[Optional[int]] = [*numbers] or [None]
    jobs = []
    for seed in seeds:
        for split in splits:
            for row in rows or STUDIES[study].rows:
                own = [f'train.seed={seed}', *([f'data.options.{option}={split}'] if split is not None else [])]
                jobs.append(Job(
                    row, seed, split, out / dataset / row / (f'split{split}-' * (split is not None) + f'seed{seed}'),
                    load_config(
                        config or recipe_path(dataset), [*settings, *ROWS[row].settings, *own],
                        over={'data': {'dataset': dataset, 'root': root}})))
    return jobs


def _differences(wanted: Config, found: Config) -> List[str]:
    def flat(config: Config) -> Dict[str, Any]:
        without_cnm = not config.model.anm or config.loss.lambda_cnm == 0
        return {
            f'{section}.{key}': None if without_cnm and key in _OF_CNM else value
            for section, values in config.model_dump(mode='json').items()
            for key, value in values.items() if key not in _FREE.get(section, ())
        }
    a, b = flat(wanted), flat(found)
    return [f'{key} = {b[key]!r}, not {a[key]!r}' for key in a if a[key] != b[key]]


def check_folder(job: Job) -> None:
    """Raise ValueError where the job's folder holds a run of another configuration."""
    file = job.folder / 'config.yaml'
    if file.exists():
        differing = _differences(job.config, load_config(file))
        if differing:
            raise ValueError(
                f'"{job.folder}" holds a run of another configuration: {"; ".join(differing)}. Give another --out, or '
                f'remove that folder.')


def run_jobs(jobs: Sequence[Job], progress: bool = True, tell: Callable[[str], None] = print) -> None:
    """Do what is missing, in order, and continue what was broken off; finished runs are left alone.

    Raises:
        ValueError: A folder holds a run of another configuration; said before anything is run.
    """
    for job in jobs:
        check_folder(job)
    for number, job in enumerate(jobs, 1):
        if is_finished(job.folder):
            continue
        begun = (job.folder / 'config.yaml').exists()
        tell(f'[{number}/{len(jobs)}] {"continuing" if begun else "running"} {job.folder}')
        train_run(job.config, job.folder, progress=progress, resume=begun)
