"""The Hub's errors as sentences that say what to do."""
import errno
from typing import Iterator, List, Optional

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

__all__ = ['HubError', 'chain', 'explain', 'is_dropped', 'status_of']

# Of httpx2, httpx or requests, as the client's version has it: known by name, so that no version of it is required.
_DROPPED = {'TransportError', 'ConnectionError', 'Timeout', 'ChunkedEncodingError'}
_LOGIN = 'log in with `hf auth login`, or set HF_TOKEN (tokens: https://huggingface.co/settings/tokens)'
_WITHOUT_XET = 'If it is Xet that fails, set HF_HUB_DISABLE_XET=1: large files then pass as in plain Git LFS.'


class HubError(RuntimeError):
    """A push or a pull could not be carried out; the message says why, and what to do."""


def chain(error: Optional[BaseException]) -> Iterator[BaseException]:
    """The error and what it was raised from: the client wraps the telling one now and then."""
    while error is not None:
        yield error
        error = error.__cause__


def is_dropped(error: BaseException) -> bool:
    """Whether the connection was refused, cut or timed out."""
    if isinstance(error, (OfflineModeIsEnabled, HfHubHTTPError)):
        return False
    return any(kind.__name__ in _DROPPED for kind in type(error).__mro__)


def status_of(error: BaseException) -> Optional[int]:
    """HTTP status of the Hub's answer, None where there was none."""
    response = getattr(error, 'response', None)
    return None if response is None else response.status_code


def explain(
        error: BaseException,
        repo_id: str,
        revision: Optional[str] = None,
        token: Optional[str] = None,
        cache: Optional[str] = None,
) -> HubError:
    """One sentence for whatever the client raised.

    Args:
        error: What it raised.
        repo_id: The repository that was asked for.
        revision: Branch, tag or commit that was asked for.
        token: The token that was given, None for the stored one.
        cache: The cache's folder in a pull, None in a push.

    Returns:
        The error, to be raised from the client's.
    """
    for cause in reversed(list(chain(error))):  # the deepest is the most exact
        if isinstance(cause, HfHubHTTPError):
            sentence = _refusal(cause, repo_id, revision, token or get_token())
        else:
            sentence = _failure(cause, repo_id, cache)
        if sentence:
            return HubError(sentence)
    return HubError(
        f'The exchange with "{repo_id}" at {constants.ENDPOINT} failed: {type(error).__name__}: {error}. '
        f'{_WITHOUT_XET}')


def _failure(cause: BaseException, repo_id: str, cache: Optional[str]) -> str:
    """Where there was no answer; '' where nothing is known of it."""
    missing = f', and the cache at "{cache}" does not hold "{repo_id}"' if cache else ''
    if isinstance(cause, OfflineModeIsEnabled):
        return (f'HF_HUB_OFFLINE forbids the network{missing}: unset HF_HUB_OFFLINE'
                + (', or fill the cache where there is a network.' if cache else ' to push.'))
    if is_dropped(cause):
        # hf_xet raises Python's own class for whatever fails, the HTTP libraries classes of theirs
        hint = f' {_WITHOUT_XET}' if type(cause) is ConnectionError else ''
        return (f'The Hub at {constants.ENDPOINT} cannot be reached ({cause}){missing}: check the network, the proxy '
                f'and HF_ENDPOINT, and try again.{hint}')
    if isinstance(cause, LocalEntryNotFoundError):
        return (f'The Hub at {constants.ENDPOINT} did not give "{repo_id}"{missing}: check the network, the proxy and '
                f'HF_ENDPOINT, and try again.')
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return (f'The disk is full ({cause}): free some of it (`hf cache ls` and `hf cache rm` for the cache at '
                f'"{cache or constants.HF_HUB_CACHE}"), or name another folder in HF_HOME or cache_dir.')
    return ''


def _refusal(cause: HfHubHTTPError, repo_id: str, revision: Optional[str], token: Optional[str]) -> str:
    """Where the Hub answered with an error."""
    status, url = status_of(cause), f'{constants.ENDPOINT}/{repo_id}'
    if isinstance(cause, GatedRepoError):
        first = '' if token else f'{_LOGIN}, and '
        return f'"{repo_id}" is gated: {first}ask for access at {url}; once it is granted, try again.'
    if isinstance(cause, RevisionNotFoundError):
        tags = ', '.join(_tags(repo_id, token))
        return (f'"{repo_id}" has no revision "{revision or "main"}": give a branch, a commit or a tag; '
                + (f'its tags are {tags}.' if tags else 'it has no tags.'))
    if isinstance(cause, RemoteEntryNotFoundError):
        return f'"{repo_id}" lacks {cause.response.url.path.rpartition("/")[2]}: look at {url}/tree/main.'
    if status == 401 and token:
        return (f'The token was not accepted (HTTP 401), so "{repo_id}" could not be reached; it is mistyped, expired '
                f'or revoked: {_LOGIN}.')
    if status == 401:
        return (f'"{repo_id}" does not exist or needs a login (HTTP 401, and no token was sent): check the name at '
                f'{url}; if it is private, {_LOGIN}.')
    if isinstance(cause, RepositoryNotFoundError):
        return (f'"{repo_id}" does not exist, or is private and the token may not see it: check the name at {url}, and '
                f'the token\'s account with `hf auth whoami`.')
    if status == 403:
        return (f'The token may not do this with "{repo_id}" (HTTP 403: {cause.server_message}): use a token with the '
                f'write role, of an account that may write there; {_LOGIN}.')
    if status == 412:
        return (f'Someone else pushed to "{repo_id}" at the same moment, and nothing of this push was published: look '
                f'at {url}/commits/main, and push again.')
    if status == 429 or (status or 0) >= 500:
        return (f'The Hub at {constants.ENDPOINT} does not serve "{repo_id}" now (HTTP {status}), not even after '
                f'several tries: look at https://status.huggingface.co, and try again later.')
    return f'The Hub refused a request for "{repo_id}" (HTTP {status}): {cause.server_message or cause}'


def _tags(repo_id: str, token: Optional[str]) -> List[str]:
    try:
        return [tag.name for tag in HfApi(token=token).list_repo_refs(repo_id).tags]
    except Exception:  # only a help for the message, which must not become another error
        return []
