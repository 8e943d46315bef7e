"""Releases: published weights that this version of the package knows by a tag of their own."""
import json
from pathlib import Path
from typing import Any, Dict, List

import timm
import yaml

from ..files import write_json, write_text
from ..models._releases import MANIFEST, Release, check_releases, read_releases
from .finished import FinishedRun, shareable_config

__all__ = ['MANIFEST', 'Release', 'add_release', 'check_can_be_released', 'releases']

FOLDER = Path(__file__).parents[2] / 'hub'  # of a checkout: an installed package has no such folder


def releases() -> List[Release]:
    """The published weights that `timm.create_model('MODEL.TAG', pretrained=True)` loads; none, as long as none is.

    `fdnm_timm.hub.from_pretrained(f'{release.repo}@{release.revision}')` loads the same and checks their sha256.
    """
    return read_releases()


def _entry(run: FinishedRun, tag: str, repo: str, revision: str, licence: str) -> Dict[str, Any]:
    cfg = run.hub['pretrained_cfg']
    return {
        'model': run.hub['architecture'], 'tag': tag, 'repo': repo, 'revision': revision, 'sha256': run.sha256,
        'dataset': run.config['data']['dataset'], 'license': licence, 'num_classes': run.hub['num_classes'],
        **{key: cfg[key] for key in ('input_size', 'mean', 'std', 'interpolation', 'crop_pct', 'crop_mode')},
    }


def _manifest(path: Path) -> List[Any]:
    read_releases(path)  # says what is wrong with it
    return json.loads(path.read_text(encoding='utf-8'))


def check_can_be_released(
        run: FinishedRun,
        tag: str,
        repo: str,
        manifest: Path = MANIFEST,
        folder: Path = FOLDER,
) -> None:
    """Say what speaks against a release before anything is published.

    Raises:
        FileNotFoundError: The package is not installed from a checkout, so that there is no place for a release.
        ValueError: The tag is taken or malformed, or the model has arguments that its name alone does not give.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f'There is no folder "{folder}" for a release: it belongs to the project\'s repository. Install that with '
            f'`pip install --editable`, or publish without --release.')
    check_releases([*_manifest(manifest), _entry(run, tag, repo, '0' * 40, 'unknown')], str(manifest))
    name, args = run.hub['architecture'], run.hub['model_args']
    known = {key: args[key] for key in ('num_classes', 'in_chans', 'img_size') if key in args}  # timm has the release's
    plain: Any = timm.create_model(name, **known, device='meta')
    differing = [
        f'{key} = {args[key]!r}, not {value!r}' for key, value in plain.constructor_args.items()
        if key in args and args[key] != value]
    if differing:
        raise ValueError(
            f'timm.create_model("{name}.{tag}") would build another model than this: it has {"; ".join(differing)}. '
            f'Publish it without --release; "hf-hub:{repo}" carries its arguments along.')


def add_release(
        run: FinishedRun,
        tag: str,
        repo: str,
        revision: str,
        card: str,
        licence: str,
        manifest: Path = MANIFEST,
        folder: Path = FOLDER,
) -> Path:
    """Write a release's folder and add it to the manifest.

    Args:
        run: What was published.
        tag: timm's, as in 'MODEL.TAG'.
        repo: Where, 'organisation/name'.
        revision: The commit, 40 hexadecimal digits.
        card: The card that was published.
        licence: The card's.
        manifest: The manifest.
        folder: Where the releases' folders are.

    Returns:
        The release's folder, with its recipe, results and card.

    Raises:
        ValueError: The manifest would be wrong; nothing is written then.
    """
    entries = [*_manifest(manifest), _entry(run, tag, repo, revision, licence)]
    added = check_releases(entries, str(manifest))[-1]
    target = folder / added.name
    write_text(target / 'config.yaml', yaml.safe_dump(shareable_config(run.config), sort_keys=False))
    write_json(target / 'results.json', run.results)
    write_text(target / 'README.md', card)
    write_json(manifest, entries)
    return target
