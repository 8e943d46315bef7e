import errno
import time
from email.utils import formatdate
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from fdnm_timm.hub._retry import retrying, seconds_to_wait
from fdnm_timm.hub.errors import HubError, explain


class ConnectError(ConnectionError):
    """As an HTTP library has it."""


def answer(status, **headers):
    return HfHubHTTPError('no', response=SimpleNamespace(status_code=status, headers=headers, request=None))


@pytest.fixture
def sleeps(monkeypatch):
    slept = []
    monkeypatch.setattr(time, 'sleep', slept.append)
    return slept


def failing(*errors):
    """Raises the errors, one a call, and then returns the number of calls."""
    left = list(errors)

    def call():
        if left:
            raise left.pop(0)
        return len(errors) + 1
    return call


def test_backoff_doubles_and_is_bounded(sleeps):
    assert retrying(failing(*[answer(503)] * 4)) == 5
    assert len(sleeps) == 4
    for wait, middle in zip(sleeps, (1, 2, 4, 8)):
        assert 0.75 * middle <= wait <= 1.25 * middle
    sleeps.clear()
    with pytest.raises(ConnectError):
        retrying(failing(*[ConnectError()] * 5))
    assert len(sleeps) == 4


def test_jitter_differs():
    assert len({seconds_to_wait(ConnectError(), 0) for _ in range(5)}) > 1


@pytest.mark.parametrize('error', [
    answer(400), answer(401), answer(404), answer(412), ValueError('no'), LocalEntryNotFoundError('no'),
    answer(429, **{'Retry-After': '301'})])
def test_what_another_try_would_not_mend(sleeps, error):
    with pytest.raises(type(error)):
        retrying(failing(error))
    assert sleeps == []


def test_wrapped_errors_are_seen():
    wrapped = RuntimeError('Error while uploading')
    wrapped.__cause__ = answer(502)
    assert seconds_to_wait(wrapped, 0) is not None
    wrapped.__cause__ = answer(403)
    assert seconds_to_wait(wrapped, 0) is None


def test_retry_after_as_seconds_and_as_date():
    assert seconds_to_wait(answer(503, **{'Retry-After': '17'}), 0) == 17
    date = formatdate(time.time() + 100, usegmt=True)
    assert 95 < seconds_to_wait(answer(429, **{'Retry-After': date}), 0) <= 100
    assert seconds_to_wait(answer(429, **{'Retry-After': formatdate(0, usegmt=True)}), 0) == 0
    assert 1.5 <= seconds_to_wait(answer(503, **{'Retry-After': 'soon'}), 1) <= 2.5


def test_full_disk(tmp_path):
    error = explain(OSError(errno.ENOSPC, 'No space left on device'), 'org/name', cache=str(tmp_path))
    assert isinstance(error, HubError)
    assert 'The disk is full' in str(error) and f'"{tmp_path}"' in str(error) and 'hf cache rm' in str(error)


def test_xet_that_fails_can_be_done_without():
    assert 'HF_HUB_DISABLE_XET=1' in str(explain(ConnectionError('no token for the store'), 'org/name'))
    assert 'HF_HUB_DISABLE_XET=1' not in str(explain(ConnectError('refused'), 'org/name'))


def test_unknown_failure_keeps_its_words():
    assert 'KeyError: \'surprise\'' in str(explain(KeyError('surprise'), 'org/name'))
