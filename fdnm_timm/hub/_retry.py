"""Try again what failed for a moment: the client does so for some of its requests only, and not for a commit."""
import logging
import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Callable, Optional, TypeVar

from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from .errors import chain, is_dropped, status_of

__all__ = ['retrying', 'seconds_to_wait']

_logger = logging.getLogger(__name__)
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_ATTEMPTS = 5
_LONGEST = 300.  # seconds: with a longer Retry-After it is better to say so

T = TypeVar('T')


def retrying(call: Callable[[], T]) -> T:
    """Call until it works, at most five times.

    Between the calls it waits about 1, 2, 4 and 8 s, or as long as the Hub's Retry-After asks, up to 5 minutes.

    Args:
        call: What to do; safe to repeat after a connection that broke once the work was done.

    Returns:
        What it returns.

    Raises:
        Exception: The last failure, or the first that another try would not mend.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return call()
        except Exception as error:
            wait = seconds_to_wait(error, attempt)
            if wait is None or attempt == _ATTEMPTS - 1:
                raise
            _logger.warning(f'Trying again in {wait:.1f} s ({attempt + 2} of {_ATTEMPTS}): {error}')
        time.sleep(wait)
    raise AssertionError('unreachable')


def seconds_to_wait(error: BaseException, attempt: int) -> Optional[float]:
    """Seconds before the next try; None where it would not help.

    Args:
        error: What was raised.
        attempt: Number of tries before this one.
    """
    for cause in chain(error):
        if isinstance(cause, LocalEntryNotFoundError):
            return None  # the client tried several times itself
        if isinstance(cause, HfHubHTTPError):
            if status_of(cause) not in _TRANSIENT:
                return None
            asked = _retry_after(cause.response.headers.get('Retry-After', ''))
            if asked is not None:
                return asked if asked <= _LONGEST else None
            return _backoff(attempt)
        if is_dropped(cause):
            return _backoff(attempt)
    return None


def _backoff(attempt: int) -> float:
    # the jitter keeps clients that failed together from coming back together
    return 2 ** attempt * random.uniform(0.75, 1.25)


def _retry_after(value: str) -> Optional[float]:
    """Seconds of the header, which has a number or a date; None without either."""
    if value.strip().isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000"
        date = date.replace(tzinfo=UTC)
    return max(0., (date - datetime.now(UTC)).total_seconds())
