"""Load a published model, and nothing but what was published: the weights are held against their SHA-256."""
import hashlib
import logging
import os
import pickle
import re
from pathlib import Path
from typing import Any, Collection, Dict, NamedTuple, Optional, Tuple, Union

import timm
import torch
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import validate_repo_id
from safetensors import SafetensorError

from ..version import __version__
from ._retry import retrying
from .errors import HubError, chain, explain, is_dropped
from .folder import CONFIG, PICKLE, WEIGHTS, git_sha1, read_config, recorded_sha256, sha256

__all__ = ['from_pretrained']

_logger = logging.getLogger(__name__)


def from_pretrained(
        repo_id: str,
        revision: Optional[str] = None,
        *,
        token: Optional[str] = None,
        cache_dir: Union[str, os.PathLike, None] = None,
        allow_pickle: bool = False,
        **model_kwargs: Any,
) -> torch.nn.Module:
    """Load a model of this package from the Hub, or from the Hub's cache where there is no network.

    The weights are checked against the SHA-256 in config.json, and config.json against the Hub's hash of it. What does
    not agree is removed from the cache and fetched once more. Where config.json records no SHA-256, since plain timm
    wrote it, the Hub's own stands in; without either, the log says that nothing was checked.

    Args:
        repo_id: 'org/name', or 'org/name@v1'.
        revision: A branch, tag or commit; None for the main branch.
        token: For private and gated repositories; None for the one of HF_TOKEN or `hf auth login`.
        cache_dir: Another folder for the cache.
        allow_pickle: Load a repository that has no safetensors from its pickle, with `torch.load(weights_only=True)`,
            which refuses whatever is more than tensors.
        **model_kwargs: Arguments of the model's constructor in place of the recorded ones. With another `num_classes`
            the classifier is fresh, and 0 makes the model return embeddings.

    Returns:
        The model, in eval mode; `model.pretrained_cfg` has the repository and the commit in 'hf_hub_id'.

    Raises:
        HubError: The repository cannot be reached, is not a model of this package, holds a pickle alone, or its weights
            are not those that config.json records; the message says what to do.
        ValueError: `repo_id` is no name, or names another revision than `revision`.
    """
    repo_id, revision = _split(repo_id, revision)
    source = _Source(repo_id, revision, token, str(cache_dir or constants.HF_HUB_CACHE))
    config_path = _fetch(source, CONFIG)
    try:
        config = read_config(config_path, f'"{repo_id}"')
    except ValueError as error:
        raise HubError(str(error)) from error
    commit = config_path.parent.name  # the weights are of the same commit, whatever is pushed meanwhile
    source = source._replace(revision=commit)
    filename = _weights_name(source, config_path.parent, allow_pickle)
    expected = recorded_sha256(config, filename)
    weights = _fetch(source, filename, expected)
    if expected is None and len(_etag(weights)) != 64:
        _logger.warning(f'"{repo_id}" records no SHA-256 of {filename}: whether it arrived whole could not be checked.')
    model = _build(config_path.parent, repo_id, model_kwargs)
    model.pretrained_cfg.update(source='hf-hub', hf_hub_id=f'{repo_id}@{commit}', file=None)
    return model.eval()


class _Source(NamedTuple):
    repo_id: str
    revision: Optional[str]
    token: Optional[str]
    cache_dir: str

    def explain(self, error: BaseException) -> HubError:
        return explain(error, self.repo_id, self.revision, self.token, self.cache_dir)


def _split(repo_id: str, revision: Optional[str]) -> Tuple[str, Optional[str]]:
    name, _, given = repo_id.partition('@')
    if given and revision not in (None, given):
        raise ValueError(f'repo_id is "{repo_id}", but revision is "{revision}": give one of the two.')
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ValueError(f'repo_id is "{repo_id}", but must be "org/name" or "org/name@revision": {error}') from error
    return name, given or revision


def _fetch(source: _Source, filename: str, expected: Optional[str] = None) -> Path:
    """The file in the cache, its bytes checked; fetched once more where they are wrong."""
    path = _download(source, filename)
    problem = _problem(path, expected)
    if problem:
        _forget(path)
        _logger.warning(f'{filename} of "{source.repo_id}" was damaged, and is fetched again: {problem}.')
        try:
            path = _download(source, filename, force=True)
        except HubError as error:
            raise HubError(
                f'The cache held a damaged {filename} of "{source.repo_id}", which was removed. {error}') from error
        problem = _problem(path, expected)
    if problem:
        _forget(path)
        raise HubError(
            f'{filename} of "{source.repo_id}" is refused and not kept: {problem}, also when fetched a second time. '
            f'Either something on the way changes files (a proxy, a mirror in HF_ENDPOINT), or the repository\'s files '
            f'do not belong together: try another network, or tell its owner.')
    return path


def _download(source: _Source, filename: str, force: bool = False) -> Path:
    def download(**kwargs: Any) -> Path:
        return Path(hf_hub_download(
            source.repo_id, filename, revision=source.revision, token=source.token, cache_dir=source.cache_dir,
            library_name='fdnm_timm', library_version=__version__, **kwargs))

    try:
        return retrying(lambda: download(force_download=force))
    except Exception as error:
        if not force and any(is_dropped(cause) for cause in chain(error)):
            try:
                return download(local_files_only=True)  # the client itself does this only where it cannot connect
            except LocalEntryNotFoundError:
                pass
        raise source.explain(error) from error


def _weights_name(source: _Source, snapshot: Path, allow_pickle: bool) -> str:
    """Which of the commit's files to load; raises HubError where there is none, or none that is allowed."""
    if (snapshot / WEIGHTS).exists():
        return WEIGHTS
    names = _list(source, snapshot)
    if WEIGHTS in names:
        return WEIGHTS
    if PICKLE not in names:
        raise HubError(
            f'"{source.repo_id}" has neither {WEIGHTS} nor {PICKLE}, so there are no weights to load: is it the right '
            f'repository and revision?')
    if not allow_pickle:
        raise HubError(
            f'"{source.repo_id}" has its weights as a pickle alone ({PICKLE}). A pickle can run any code where it is '
            f'loaded, so it is not fetched: ask its owner for {WEIGHTS}; or give allow_pickle=True, which loads '
            f'tensors and refuses whatever else the pickle holds.')
    return PICKLE


def _list(source: _Source, snapshot: Path) -> Collection[str]:
    """The commit's files; without a network those in the cache."""
    api = HfApi(token=source.token, library_name='fdnm_timm', library_version=__version__)
    try:
        return retrying(lambda: api.list_repo_files(source.repo_id, revision=source.revision))
    except Exception as error:
        cached = [path.name for path in snapshot.iterdir()]
        if PICKLE in cached:
            return cached
        raise source.explain(error) from error


def _etag(path: Path) -> str:
    """The Hub's name for a cached file's content; '' where the cache has files in place of links."""
    return Path(os.readlink(path)).name if path.is_symlink() else ''


def _problem(path: Path, expected: Optional[str]) -> str:
    """What is wrong with a file's bytes; '' if nothing is."""
    if expected is not None:
        found = sha256(path)
        return '' if found == expected else f'its SHA-256 is {found}, but config.json records {expected}'
    etag = _etag(path)
    if re.fullmatch('[0-9a-f]{64}', etag):
        found = sha256(path)
        return '' if found == etag else f'its SHA-256 is {found}, but the Hub says {etag}'
    if re.fullmatch('[0-9a-f]{40}', etag):
        content = path.read_bytes()
        # a mirror that is no git server may give the plain SHA-1
        found, plain = git_sha1(content), hashlib.sha1(content, usedforsecurity=False).hexdigest()
        return '' if etag in (found, plain) else f'its git SHA-1 is {found}, but the Hub says {etag}'
    return ''


def _forget(path: Path) -> None:
    """Remove a file from the cache, with the blob that it links to."""
    if path.is_symlink():
        (path.parent / os.readlink(path)).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _build(folder: Path, repo_id: str, model_kwargs: Dict[str, Any]) -> Any:
    try:
        return timm.create_model(f'local-dir:{folder}', pretrained=True, **model_kwargs)
    except SafetensorError as error:
        raise HubError(
            f'{WEIGHTS} of "{repo_id}" cannot be read ({error}): its owner must publish it again.') from error
    except Exception as error:  # a stranger's config can be wrong in any way
        if any(isinstance(cause, pickle.UnpicklingError) for cause in chain(error)):
            raise HubError(
                f'The pickle of "{repo_id}" holds more than tensors, and was refused before any of it ran: do not load '
                f'it in another way either, unless you know what it does.') from error
        given = f' (with {model_kwargs} as asked)' if model_kwargs else ''
        raise HubError(
            f'"{repo_id}" cannot be built from its {CONFIG}{given}: {type(error).__name__}: {error} '
            f'If its files are newer than this fdnm_timm {__version__}, upgrade it.') from error
