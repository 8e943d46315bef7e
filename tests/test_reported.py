import csv
from pathlib import Path

import pytest

from fdnm_timm.reported import read_reported, reported

PAPER = Path(__file__).parents[2] / 'shared' / 'paper' / 'reported.csv'


def test_numbers_of_the_abstracts_tables():
    assert reported('sysu_mm01', 'indoor')['R1'] == 87.3
    assert reported('regdb', 'visible_to_infrared') == {'R1': 95.5, 'R10': 99.0, 'R20': 99.6, 'mAP': 90.0}
    assert reported('llcm', 'infrared_to_visible', table=2)['mAP'] == 62.7
    assert reported('sysu_mm01', 'all', 'base+local+agp+anm', 3) == {'R1': 76.0, 'mAP': 73.6}
    assert reported('oulu_casia', 'nir_to_vis')['VR@FAR=0.1%'] == 92.2


@pytest.mark.parametrize('args', [
    ('roadscene', 'all'), ('sysu_mm01', None), ('sysu_mm01', 'all', 'nobody'), ('sysu_mm01', 'all', 'FDNM', 3)])
def test_what_the_paper_does_not_report_is_empty(args):
    assert reported(*args) == {}


def test_every_number_is_one_percentage_of_one_place():
    entries = read_reported()
    assert len({entry[:-1] for entry in entries}) == len(entries)
    assert all(0 < entry.percent <= 100 for entry in entries)
    assert {entry.table for entry in entries} == {1, 2, 3, 4, 5}


@pytest.mark.skipif(not PAPER.exists(), reason=f'the transcript of the tables, {PAPER}, is not there')
def test_agrees_with_the_transcript():
    with open(PAPER, newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(str(e.table), *e[1:5], e.percent) for e in read_reported()] == [
        (*list(row.values())[:5], float(row['percent'])) for row in rows]
