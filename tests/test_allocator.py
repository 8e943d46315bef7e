import os
import subprocess
import sys

import pytest

from fdnm_timm.allocator import keep_freed_memory

PROGRAM = """
import resource
from fdnm_timm.allocator import keep_freed_memory
import torch
torch.set_num_threads(1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first, kept = faults(), keep_freed_memory()
faults()
print(first, kept, faults())
"""


def run(**choices: str) -> tuple:
    environment = {name: value for name, value in os.environ.items() if 'MALLOC' not in name}
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM], env={**environment, **choices}, check=True, capture_output=True, text=True)
    first, kept, then = done.stdout.split()
    return int(first), kept == 'True', int(then)


@pytest.mark.skipif('CS_GNU_LIBC_VERSION' not in os.confstr_names, reason='no glibc')
def test_freed_memory_is_kept():
    first, kept, then = run()
    assert kept and then < first / 100
    _, kept, _ = run(MALLOC_TRIM_THRESHOLD_='100000')
    assert not kept


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'darwin')
    assert not keep_freed_memory()
