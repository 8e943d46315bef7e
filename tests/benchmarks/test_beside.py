"""That programs take turns with ours, and that one that fails says so; no times."""
import dataclasses
import json
import sys

import pytest
import torch

from fdnm_timm.benchmarks import run_benchmarks, settings_for
from fdnm_timm.benchmarks.beside import Program
from fdnm_timm.benchmarks.work import Work, work_of

SETTINGS = settings_for(torch.device('cpu'), repeats=2, quick=True)

PROGRAM = '''
import json, sys
work = json.loads(sys.stdin.readline())
print("Loading ...")
print("ready", *sys.argv[2:], flush=True)
with open(sys.argv[1], "w") as log:
    for line in sys.stdin:
        log.write(line)
        print("Epoch: [0]")
        print("done", flush=True)
    log.write(json.dumps(work))
'''


def command(*arguments):
    return (sys.executable, '-c', PROGRAM, *map(str, arguments))


def program(code: str) -> Program:
    return Program('theirs', [sys.executable, '-c', code], work_of(SETTINGS))


def test_rows(tmp_path):
    log = tmp_path / 'log'
    settings = dataclasses.replace(SETTINGS, quick=True, beside=(
        ('deen', command(log, 'step', 'trial', 'sing')), ('agw', command(tmp_path / 'other', 'embed'))))
    rows = list(run_benchmarks(settings, ['beside']))
    whats = [row.what for row in rows]
    assert whats == [
        'deen, step', 'FDNM, step', 'FDNM over deen, step', 'agw, embed', 'FDNM, embed', 'FDNM over agw, embed',
        'deen, trial', 'FDNM, trial', 'FDNM over deen, trial']
    medians = dict(zip(whats, (row.median for row in rows)))
    assert all(median > 0 for median in medians.values()) and medians['FDNM, step'] > medians['deen, step']
    assert {row.repeats for row in rows} == {2} and {row.bar for row in rows} == {None}
    *jobs, work = log.read_text().splitlines()
    assert jobs == ['step'] * 3 + ['trial'] * 3  # to be warm, and the repeats
    assert Work(**json.loads(work)) == work_of(settings)


def test_the_step_of_deen_has_the_bar(tmp_path, monkeypatch):
    monkeypatch.setattr('fdnm_timm.benchmarks.beside._ours', lambda settings: {
        name: command(tmp_path / name, 'step', 'embed') for name in ('FDNM', 'FDNM, compiled')})
    settings = dataclasses.replace(SETTINGS, quick=False, beside=(
        ('DEEN', command(tmp_path / 'deen', 'step', 'embed')), ('agw', command(tmp_path / 'agw', 'step'))))
    bars = {row.what: row.bar for row in run_benchmarks(settings, ['beside']) if row.bar}
    assert bars == {'FDNM over DEEN, step': 0.35, 'FDNM, compiled over DEEN, step': 0.35}


def test_without_programs_there_is_nothing_to_do():
    assert list(run_benchmarks(SETTINGS, ['beside'])) == []


def test_a_program_that_cannot_be_started():
    with pytest.raises(ValueError, match="program 'theirs' cannot be started: .*no/such/file"):
        Program('theirs', ['/no/such/file'], work_of(SETTINGS))


@pytest.mark.parametrize('code, message', [
    ('import sys; sys.exit(5)', "'theirs' ended with status 5 before it said 'ready'"),
    ('print("ready")', "'theirs' is ready for \\[\\], but at least one of step, embed, trial is expected"),
    ('print("ready sing dance")', "is ready for \\['sing', 'dance'\\]"),
])
def test_a_program_that_gets_nowhere(code, message):
    with pytest.raises(RuntimeError, match=message):
        program(code)


def test_a_program_that_dies_at_work():
    with program('import sys; input(); print("ready step", flush=True); input(); sys.exit("no more")') as theirs:
        assert theirs.jobs == ['step']
        with pytest.raises(RuntimeError, match="'theirs' ended with status 1 before it said 'done'"):
            theirs.do('step')


def test_programs_end_with_the_comparison():
    with program('print("ready step", flush=True)\nwhile True: input(); print("done", flush=True)') as theirs:
        theirs.do('step')
        assert theirs._process.poll() is None
    assert theirs._process.poll() is not None
    with pytest.raises(KeyError), program('import time; print("ready step", flush=True); time.sleep(60)') as theirs:
        raise KeyError
    assert theirs._process.poll() is not None
