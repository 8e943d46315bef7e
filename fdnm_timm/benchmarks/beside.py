"""What other people's programs take for a training step, for embeddings and for a trial, beside ours."""
import json
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Dict, Iterator, List, Optional, Sequence, Type

from .rows import Row, row
from .settings import Settings
from .timing import ratios, seconds
from .work import JOBS, Work, work_of

__all__ = ['Program', 'beside_rows']

_BARS = {('deen', 'step'): 0.35}
_END_S = 30.


class Program:
    """A process that does jobs when it is asked to, as `benchmarks.program` says; a context that ends it.

    Attributes:
        jobs: Those of `JOBS` that it does.
    """

    def __init__(self, name: str, command: Sequence[str], work: Work) -> None:
        """
        Args:
            name: For messages.
            command: What to run; its errors go where this process's go.
            work: What it is to do.

        Raises:
            ValueError: It cannot be started.
            RuntimeError: It ends before it is ready, or does no job that is known.
        """
        self.name = name
        try:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        except OSError as error:
            raise ValueError(f'The program {name!r} cannot be started: {error}.') from error
        try:
            self._send(json.dumps(work._asdict()))
            offered = self._wait_for('ready')
            self.jobs = [job for job in JOBS if job in offered]
            if not self.jobs:
                raise RuntimeError(
                    f'The program {name!r} is ready for {offered}, but at least one of {", ".join(JOBS)} is expected.')
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def __enter__(self) -> 'Program':
        return self

    def __exit__(
            self,
            kind: Optional[Type[BaseException]],
            error: Optional[BaseException],
            trace: Optional[TracebackType],
    ) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(0. if error else _END_S)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def do(self, job: str) -> None:
        """Have it do a job, and wait until it is done."""
        self._send(job)
        self._wait_for('done')

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f'{line}\n')
            self._process.stdin.flush()
        except OSError:  # it has ended, which is told better by what it does not say
            pass

    def _wait_for(self, word: str) -> List[str]:
        """What stands behind the word in the line that begins with it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.split()[:1] == [word]:
                return line.split()[1:]
        raise RuntimeError(
            f'The program {self.name!r} ended with status {self._process.wait()} before it said {word!r}. Its own '
            f'messages, if any, stand above.')


def _ours(settings: Settings) -> Dict[str, Sequence[str]]:
    command = [sys.executable, '-m', f'{__package__}.program']
    return {'FDNM': command, **({'FDNM, compiled': [*command, 'compiled']} if settings.compiled else {})}


def beside_rows(settings: Settings) -> Iterator[Row]:
    """Seconds of every program's jobs, which take turns, and ours over theirs."""
    if not settings.beside:
        return
    ours = _ours(settings)
    # theirs first: what cannot run is known before ours has compiled
    commands = {**dict(settings.beside), **ours}
    with ExitStack() as stack:
        programs = {
            name: stack.enter_context(Program(name, command, work_of(settings))) for name, command in commands.items()}
        for job in JOBS:
            able = {name: partial(program.do, job) for name, program in programs.items() if job in program.jobs}
            if able.keys() <= ours.keys():
                continue
            taken = seconds(able, settings.repeats, settings.device)
            for name, values in taken.items():
                yield row('beside', f'{name}, {job}', 's', values)
            for name in [name for name in taken if name not in ours]:
                for our in [our for our in ours if our in taken]:
                    yield row(
                        'beside', f'{our} over {name}, {job}', 'x', ratios(taken[our], taken[name]),
                        _BARS.get((name.lower(), job)))
