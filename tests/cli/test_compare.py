import json

import pytest

from fdnm_timm.cli.compare import compare
from fdnm_timm.config import load_config


def finished(folder, settings, **results):
    folder.mkdir()
    (folder / 'config.yaml').write_text(load_config(settings=settings).to_yaml())
    (folder / 'results.json').write_text(json.dumps({'results': {'roadscene': {
        name: dict(zip(('R1', 'mAP'), values)) for name, values in results.items()}}}))
    return folder


def test_seeds_become_one_row_with_spread(tmp_path):
    runs = [
        finished(tmp_path / 'a0', ['train.seed=0'], forth=(10., 20.), back=(1., 2.)),
        finished(tmp_path / 'a1', ['train.seed=1', 'data.root=elsewhere'], forth=(14., 22.), back=(1., 2.)),
        finished(tmp_path / 'b0', ['model.anm=false'], forth=(9., 9.), back=(3., 3.)),
    ]
    header, rule, first, second = compare(runs, ['R1', 'mAP']).split('\n')
    assert [c.strip() for c in header.strip('|').split('|')] == [
        'configuration', 'seeds', 'forth R1', 'forth mAP', 'back R1', 'back mAP']
    assert rule == '|---|---|---|---|---|---|'
    assert first == '| anm=True | 2 | 12.0 ± 2.8 | 21.0 ± 1.4 | 1.0 ± 0.0 | 2.0 ± 0.0 |'
    assert second == '| anm=False | 1 | 9.0 | 9.0 | 3.0 | 3.0 |'


def test_unfinished_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='no finished run.*config.yaml'):
        compare([tmp_path], ['R1'])


def test_other_settings_are_refused(tmp_path):
    runs = [finished(tmp_path / 'a', [], forth=(1., 1.)), finished(tmp_path / 'b', [], back=(1., 1.))]
    with pytest.raises(ValueError, match='different settings'):
        compare(runs, ['R1'])
