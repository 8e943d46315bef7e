"""A fresh process with the unmodified `huggingface_hub` and `timm`, which does what tests ask it, one thing at a time.

The client reads HF_ENDPOINT and HF_HOME when it is imported, so it cannot run in the tests' own process; and importing
torch takes seconds, so one process serves many tests. Its clock alone is not the real one: sleeps take no time.
"""
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

import torch

__all__ = ['Answer', 'Client', 'digest', 'environment']


class Answer(NamedTuple):
    """What came of a request."""
    value: Any
    error: Optional[str]  # name of the exception's class
    message: str  # of the exception
    sleeps: List[float]  # seconds that were to be waited
    warnings: List[str]  # logged by fdnm_timm


def environment(url: str, home: Path, **more: str) -> Dict[str, str]:
    """Of a process that knows the test Hub at `url` and no other, with a cache of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith('HF_') and not k.lower().endswith('_proxy')}
    return {**kept, 'HF_ENDPOINT': url, 'HF_HOME': str(home), 'HF_HUB_DISABLE_XET': '1', 'OMP_NUM_THREADS': '1',
            'HF_HUB_DISABLE_PROGRESS_BARS': '1', **more}


class Client:
    """The tests' side: `client('pull', repo_id='org/name')`."""

    def __init__(self, url: str, home: Path, **more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'tests.hub.client'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2], env=environment(url, home, **more))

    def __call__(self, action: str, **arguments: Any) -> Answer:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([action, arguments], default=str) + '\n')
        self.process.stdin.flush()
        return Answer(**json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        self.process.communicate()  # ends its input


def digest(model: torch.nn.Module) -> str:
    """Of the model's outputs, so that equal digests mean equal bits."""
    x = torch.randn(2, model.in_chans, 48, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = [model(x, modality) for modality in ('visible', 'infrared')]
    return hashlib.sha256(b''.join(output.numpy().tobytes() for output in outputs)).hexdigest()


def _facts(model: Any) -> Dict[str, Any]:
    return {
        'digest': digest(model.eval()) if not model.training else None, 'num_classes': model.num_classes,
        'backbone': hashlib.sha256(model.stages[0][0].conv1.weight.detach().numpy().tobytes()).hexdigest(),
        'hf_hub_id': model.pretrained_cfg.get('hf_hub_id')}


def _pull(**arguments: Any) -> Dict[str, Any]:
    from fdnm_timm.hub import from_pretrained
    return _facts(from_pretrained(**arguments))


def _timm(**arguments: Any) -> Dict[str, Any]:
    import timm

    import fdnm_timm  # noqa: F401
    return _facts(timm.create_model(pretrained=True, **arguments).eval())


def _push(**arguments: Any) -> Dict[str, Any]:
    from fdnm_timm.hub import push_to_hub
    return push_to_hub(**arguments)._asdict()


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: List[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # so that nothing that is printed gets among the answers
    torch.set_num_threads(1)
    log = _Messages()
    logging.getLogger('fdnm_timm').addHandler(log)
    sleeps: List[float] = []
    time.sleep = sleeps.append
    for line in sys.stdin:
        action, arguments = json.loads(line)
        sleeps.clear()
        log.messages.clear()
        value, error, message = None, None, ''
        try:
            value = {'pull': _pull, 'timm': _timm, 'push': _push}[action](**arguments)
        except Exception as raised:
            error, message = type(raised).__name__, str(raised)
        answers.write(json.dumps(Answer(value, error, message, sleeps, log.messages)._asdict()) + '\n')
        answers.flush()


if __name__ == '__main__':
    main()
