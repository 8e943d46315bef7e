"""`fdnm benchmark`: that it runs and writes what it must; the times are not looked at."""
import argparse
import json
from pathlib import Path

import pytest
import torch

from fdnm_timm.benchmarks import BENCHMARKS
from fdnm_timm.cli import benchmark


def fdnm_benchmark(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    benchmark.add_parser(parser.add_subparsers(dest='command'))
    args = parser.parse_args(['benchmark', *map(str, arguments)])
    return args.run(args)


@pytest.mark.timeout(600)
def test_quick(tmp_path: Path, capsys):
    file = tmp_path / 'deep' / 'out.json'
    assert fdnm_benchmark('--quick', '--json', file) == 0
    out = capsys.readouterr().out
    written = json.loads(file.read_text())
    assert list(written) == ['environment', 'device', 'quick', 'settings', 'rows']
    assert written['quick'] is True and written['device'] == 'cpu' and 'QUICK' in out and 'NOT met' not in out
    machine = written['environment']
    assert machine['cpu'] and machine['threads'] == torch.get_num_threads()
    assert machine['versions']['torch'] == torch.__version__.partition('+')[0] or machine['versions']['torch']
    assert machine['cpu'] in out and machine['versions']['timm'] in out
    assert written['settings']['repeats'] == 2 and written['settings']['model'] == 'fdnm_resnet18'
    rows = written['rows']
    assert list(dict.fromkeys(row['benchmark'] for row in rows)) == [name for name in BENCHMARKS if name != 'beside']
    for row in rows:
        assert row['met'] is None and row['bar'] is None and row['unit'] in ('s', 'x', 'MB', 'GFLOP', 'images/s')
        assert row['low'] <= row['median'] <= row['high'] and row['median'] >= 0 and row['what'] in out
    whats = [row['what'] for row in rows]
    for expected in (
            'eager over literal, time', 'eager over literal, saved bytes', 'FDNM over base',
            'FDNM over base, that arithmetic', 'floor: base and those alone, over base',
            'packed cache over files, time',
            'metrics.rank over the loop, SYSU-MM01', 'metrics.rank over the loop, RegDB'):
        assert expected in whats


def test_only_and_repeats(tmp_path, capsys):
    assert fdnm_benchmark('--quick', '--only', 'anm', 'agp', '--repeats', '3', '--json', tmp_path / 'out.json') == 0
    rows = json.loads((tmp_path / 'out.json').read_text())['rows']
    assert list(dict.fromkeys(row['benchmark'] for row in rows)) == ['agp', 'anm']
    assert {row['repeats'] for row in rows if row['unit'] == 's'} == {3}
    assert 'step' not in capsys.readouterr().out


def test_threads(tmp_path):
    before = torch.get_num_threads()
    try:
        assert fdnm_benchmark('--quick', '--only', 'agp', '--threads', '2', '--json', tmp_path / 'out.json') == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert json.loads((tmp_path / 'out.json').read_text())['environment']['threads'] == 2


@pytest.mark.parametrize('arguments, message', [
    (['--device', 'abacus'], "--device is 'abacus', but cpu, cuda or cuda:N is expected"),
    (['--device', 'meta'], 'only cpu and cuda are measured'),
    (['--device', 'cuda:99'], r'torch finds \d+ GPUs here'),
    (['--repeats', '0'], '--repeats is 0'),
    (['--threads', '0'], '--threads is 0'),
    (['--beside', 'python deen.py'], "--beside is 'python deen.py', but NAME=COMMAND is expected"),
    (['--beside', 'deen='], "--beside is 'deen=', but NAME=COMMAND is expected"),
    (['--beside', "deen=python 'deen.py"], 'whose command a shell cannot read: No closing quotation'),
    (['--beside', 'deen=/no/such/file --fast'], "there is no program '/no/such/file' here"),
    (['--only', 'agp', '--beside', 'a=python'], '--only leaves "beside" out'),
    (['--beside', 'a=python', '--beside', 'a=python x'], '--beside names a, a, but each name must be another one'),
    (['--beside', 'FDNM=python'], 'none ours'),
    (['--only', 'beside'], '--only beside needs programs to compare with'),
])
def test_mistakes(arguments, message, capsys):
    with pytest.raises(ValueError, match=message):
        fdnm_benchmark(*arguments)
    assert capsys.readouterr().out == ''


def test_unknown_benchmark(capsys):
    with pytest.raises(SystemExit):
        fdnm_benchmark('--only', 'everything')
    assert "invalid choice: 'everything'" in capsys.readouterr().err
