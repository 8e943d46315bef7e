"""A finished run's files, read back and held against each other before anything is said about them."""
import json
from pathlib import Path
from typing import Any, Dict, NamedTuple

import yaml

from .folder import CONFIG, WEIGHTS, check_folder

__all__ = ['FinishedRun', 'read_finished_run', 'shareable_config']


class FinishedRun(NamedTuple):
    """What a run's folder says of itself."""
    folder: Path
    config: Dict[str, Any]  # config.yaml
    results: Dict[str, Any]  # results.json
    hub: Dict[str, Any]  # hub/config.json
    environment: Dict[str, Any]  # environment.json, empty where there is none

    @property
    def weights(self) -> Path:
        return self.folder / 'hub' / WEIGHTS

    @property
    def sha256(self) -> str:
        """Of the weights."""
        return self.hub['fdnm']['sha256'][WEIGHTS]

    @property
    def version(self) -> str:
        """Of the package that made it."""
        return self.hub['fdnm'].get('version') or self.environment.get('versions', {}).get('fdnm_timm', 'unknown')


def _read(path: Path) -> Dict[str, Any]:
    try:
        text = path.read_text(encoding='utf-8')
        value = yaml.safe_load(text) if path.suffix == '.yaml' else json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as error:
        raise ValueError(f'"{path}" is damaged: {error}. Train again, or restore the file.') from error
    if not isinstance(value, dict):
        raise ValueError(f'"{path}" is damaged: it holds {type(value).__name__}, but keys and values are expected.')
    return value


def read_finished_run(folder: Path) -> FinishedRun:
    """Read a run that `fdnm train` or `fdnm demo` left, and check that its files belong together.

    Raises:
        FileNotFoundError: The folder is no run, or the run is not finished.
        ValueError: A file is damaged, the weights are not those of hub/config.json, or that and the run's other files
            are of different runs.
    """
    for name in ('config.yaml', 'results.json', f'hub/{CONFIG}', f'hub/{WEIGHTS}'):
        if not (folder / name).exists():
            advice = f'Finish it with `fdnm train --resume {folder}`.' if (folder / 'config.yaml').exists() else \
                'Give a folder that `fdnm train` left.'
            raise FileNotFoundError(f'"{folder}" is no finished run: it has no {name}. {advice}')
    environment = folder / 'environment.json'
    run = FinishedRun(
        folder, _read(folder / 'config.yaml'), _read(folder / 'results.json'), check_folder(folder / 'hub'),
        _read(environment) if environment.exists() else {})
    _check_origin(run)
    return run


def _check_origin(run: FinishedRun) -> None:
    try:
        name, results = run.config['model']['name'].partition('.')[0], run.results['results']
        pairs = {
            'architecture': (run.hub['architecture'], name),
            'results': tuple(json.dumps(value, sort_keys=True) for value in (run.hub['fdnm']['results'], results)),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'The files of "{run.folder}" are not those that `fdnm train` leaves: {error} is missing.') from None
    for what, (published, own) in pairs.items():
        if published != own:
            raise ValueError(
                f'The {what} in "{run.folder / "hub" / CONFIG}" and those of the run differ: they are of '
                f'different runs. Train again, or restore the files.')
    if not results:
        raise ValueError(f'"{run.folder / "results.json"}" holds no results. Train again: a run ends with an '
                         f'evaluation.')


def shareable_config(config: Dict[str, Any]) -> Dict[str, Any]:
    """A run's configuration without folders of the machine that it ran on.

    `data.root` and `data.cache` are left out, so that whoever uses the configuration gives folders of their own; of any
    other absolute path, the file's name stays.
    """
    def without_folders(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_folders(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [without_folders(inner) for inner in value]
        return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value

    out = without_folders(config)
    for name in ('root', 'cache'):
        out.get('data', {}).pop(name, None)
    return out
