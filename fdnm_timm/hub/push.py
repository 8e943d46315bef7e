"""Publish a model: all its files in one commit, tagged, and tried again where the Hub or the network fails."""
import logging
import os
import re
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

import torch
from huggingface_hub import CommitOperationAdd, HfApi, ModelInfo, get_token
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from ..version import __version__
from ._retry import retrying
from .errors import HubError, explain
from .folder import CARD, CONFIG, PICKLE_SUFFIXES, WEIGHTS, check_folder, git_sha1, sha256
from .save import save_pretrained

__all__ = ['Pushed', 'check_names', 'push_to_hub']

_logger = logging.getLogger(__name__)

Content = Union[bytes, str, os.PathLike]


class Pushed(NamedTuple):
    """What a push did."""
    url: str  # of the repository
    commit: str  # that holds the files
    tag: Optional[str]  # that points to the commit
    notes: Tuple[str, ...]  # what was done otherwise than asked, or is worth knowing


def push_to_hub(
        model: Union[torch.nn.Module, str, os.PathLike],
        repo_id: str,
        *,
        private: Optional[bool] = None,
        token: Optional[str] = None,
        tag: Optional[str] = None,
        move_tag: bool = False,
        commit_message: str = 'Publish the model',
        card: Optional[str] = None,
        files: Optional[Mapping[str, Content]] = None,
) -> Pushed:
    """Publish a model, so that `timm.create_model('hf-hub:org/name', pretrained=True)` loads it.

    All files go up in one commit, or none does. What fails for a moment (HTTP 429 and 5xx, a dropped connection) is
    tried again, without publishing twice where the answer alone was lost. Files that the repository already holds are
    not uploaded again; where it holds all of them, there is no new commit.

    Args:
        model: A model of this package, or a folder that `save_pretrained` left; of a folder, model.safetensors,
            config.json and README.md are published.
        repo_id: 'org/name'. Made where it does not exist.
        private: Whether a new repository is private; None leaves it to the account's default. An existing repository
            stays as it is, and a note says so.
        token: A token with the write role; None for the one of HF_TOKEN or `hf auth login`.
        tag: A tag for the commit, such as 'v1'.
        move_tag: Move the tag if it exists on another commit.
        commit_message: The commit's message.
        card: Text of the model card, README.md.
        files: Further files: paths in the repository, with bytes or a local path each.

    Returns:
        Where the model is, and notes, which are logged as warnings too.

    Raises:
        HubError: The Hub refuses, or cannot be reached; the message says what to do.
        FileNotFoundError: The folder lacks a file.
        ValueError: A name is not valid, the tag is taken, the folder's files do not fit each other, or a file is a
            pickle.
    """
    check_names(repo_id, tag, files or {})
    if not (token or get_token()):
        raise HubError(
            f'Pushing to "{repo_id}" needs a token with the write role: make one at '
            f'https://huggingface.co/settings/tokens, then run `hf auth login` or set HF_TOKEN.')
    api = HfApi(token=token, library_name='fdnm_timm', library_version=__version__)
    with tempfile.TemporaryDirectory() as temporary:
        folder = save_pretrained(model, temporary) if isinstance(model, torch.nn.Module) else Path(model)
        check_folder(folder)
        content: Dict[str, Content] = {WEIGHTS: folder / WEIGHTS, CONFIG: folder / CONFIG, **(files or {})}
        if card is not None:
            content[CARD] = card.encode()
        elif (folder / CARD).is_file():
            content.setdefault(CARD, folder / CARD)
        try:
            pushed = _Push(api, repo_id, content).run(private, tag, move_tag, commit_message)
        except Exception as error:
            if isinstance(error, (HubError, ValueError)) and not isinstance(error, HfHubHTTPError):
                raise  # a sentence already; the client's BadRequestError is a ValueError too
            raise explain(error, repo_id, token=token) from error
    for note in pushed.notes:
        _logger.warning(note)
    return pushed


def check_names(repo_id: str, tag: Optional[str] = None, files: Mapping[str, Any] = {}) -> None:
    """Raise ValueError where a name is not valid, or a file would not be published; asks no Hub."""
    if repo_id.count('/') != 1:
        raise ValueError(f'repo_id is "{repo_id}", but must be "org/name", with your account or organisation as org.')
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        hint = ' Give the tag by tag=.' if '@' in repo_id else ''
        raise ValueError(f'repo_id is "{repo_id}", which is no name of a repository: {error}.{hint}') from error
    if tag is not None and not re.fullmatch(r'\w[\w.+-]*', tag):
        raise ValueError(f'tag is "{tag}", but must consist of letters, digits and _.+-, such as "v1".')
    pickles = sorted(path for path in files if path.endswith(PICKLE_SUFFIXES))
    if pickles:
        raise ValueError(
            f'files holds {pickles}, which are pickles by their names: they run code where they are loaded, so only '
            f'safetensors are published. Save the tensors with safetensors.torch.save_file.')
    own = sorted(files.keys() & {WEIGHTS, CONFIG})
    if own:
        raise ValueError(f'files holds {own}, which the model itself gives: publish them under other names.')


class _Push:
    """One push: the files, and the steps, each of which may be repeated."""

    def __init__(self, api: HfApi, repo_id: str, content: Dict[str, Content]) -> None:
        self.api, self.repo_id, self.content = api, repo_id, content
        self.url = f'{api.endpoint}/{repo_id}'

    def run(self, private: Optional[bool], tag: Optional[str], move_tag: bool, message: str) -> Pushed:
        before = retrying(lambda: self._find_or_create(private))
        notes = self._notes(before, private)
        if tag is not None and not move_tag:
            self._check_tag(tag, before)
        commit = retrying(lambda: self._commit(message))
        if commit == before.sha:
            notes.append(f'"{self.repo_id}" held exactly these files already: there is no new commit.')
        if tag is not None:
            try:
                retrying(lambda: self._tag(tag, commit, move_tag))
            except Exception as error:
                reason = error if isinstance(error, ValueError) else explain(error, self.repo_id)
                raise HubError(
                    f'The model is published, as commit {commit} of {self.url}, but the tag "{tag}" could not be set. '
                    f'{reason} The same push again sets the tag alone.') from error
        return Pushed(self.url, commit, tag, tuple(notes))

    def _find_or_create(self, private: Optional[bool]) -> ModelInfo:
        try:
            return self._info()
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            # the answer to an anonymous or a wrong token is the same: making it then says which
            self.api.create_repo(self.repo_id, private=private, exist_ok=True)
            return self._info()

    def _info(self) -> ModelInfo:
        return self.api.model_info(self.repo_id, files_metadata=True)

    def _notes(self, before: ModelInfo, private: Optional[bool]) -> List[str]:
        notes = []
        if private is not None and bool(before.private) != private:
            is_now, asked = ('private', 'public') if before.private else ('public', 'private')
            notes.append(
                f'"{self.repo_id}" is {is_now} and stays {is_now}, though {asked} was asked for: a push changes '
                f'no existing repository\'s settings. Its owner can, at {self.url}/settings.')
        pickles = sorted(s.rfilename for s in before.siblings or () if s.rfilename.endswith(PICKLE_SUFFIXES))
        if pickles:
            notes.append(
                f'"{self.repo_id}" still holds {pickles} of earlier pushes. timm prefers {WEIGHTS}; delete them on the '
                f'Hub if they are out of date.')
        return notes

    def _check_tag(self, tag: str, before: ModelInfo) -> None:
        target = retrying(self._tags).get(tag)
        if target is not None and not (target == before.sha and self._holds(before)):
            raise ValueError(
                f'"{self.repo_id}" has the tag "{tag}" already, on the commit {target}. Nothing was uploaded: give '
                f'another tag, or move_tag=True to move this one.')

    def _tags(self) -> Dict[str, str]:
        return {tag.name: tag.target_commit for tag in self.api.list_repo_refs(self.repo_id).tags}

    def _holds(self, info: ModelInfo) -> bool:
        """Whether the repository's head has all files, byte for byte."""
        there = {sibling.rfilename: sibling for sibling in info.siblings or ()}
        for path, content in self.content.items():
            if path not in there:
                return False
            lfs = there[path].lfs
            found = there[path].blob_id if lfs is None else lfs.sha256
            if found != _digest(content, 'git' if lfs is None else 'sha256'):
                return False
        return True

    def _commit(self, message: str) -> str:
        """Commit, unless the head holds the files: then an earlier try went through and only its answer was lost."""
        head = self._info()
        if self._holds(head):
            return str(head.sha)
        operations = [
            CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
            for path, content in self.content.items()]
        # the parent makes the Hub refuse the commit if another one came in between
        return self.api.create_commit(
            self.repo_id, operations, commit_message=message, parent_commit=head.sha).oid

    def _tag(self, tag: str, commit: str, move: bool) -> None:
        target = self._tags().get(tag)
        if target == commit:
            return
        if target is not None and not move:
            raise ValueError(f'It was set on the commit {target} at the same moment.')
        if target is not None:
            self.api.delete_tag(self.repo_id, tag=tag)
        self.api.create_tag(self.repo_id, tag=tag, revision=commit)


def _digest(content: Content, kind: str) -> str:
    if kind == 'sha256' and not isinstance(content, bytes):
        return sha256(content)
    return git_sha1(content if isinstance(content, bytes) else Path(content).read_bytes())
