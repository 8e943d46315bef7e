import numpy as np
import pytest

from fdnm_timm.engine import format_results
from fdnm_timm.saved import Outcomes, read_outcomes, write_outcomes


def result(r1: float, trials: int = 1, **more) -> dict:
    return {
        'R1': r1, 'R10': r1 + 1, 'mAP': r1 + 2, 'mINP': r1 + 3, 'std': {'R1': 0.5}, 'trials': [{}] * trials,
        'reranked': False, 'flipped': False, 'reported': {}, **more}


def test_what_the_paper_reports_has_columns_of_its_own():
    lines = format_results('sysu_mm01', {
        'all': result(10., 10, reported={'R1': 77.8, 'mAP': 75.1}), 'other': result(20., reranked=True)}).split('\n')
    head, names, first, second = lines
    assert [part.split() for part in head.split('|')] == [['measured'], ['reported', '(arXiv', '2401.02162)']]
    assert [part.split() for part in names.split('|')] == [['sysu_mm01', 'R1', 'R10', 'mAP', 'mINP'], ['R1', 'mAP']]
    measured, paper = first.split('|')
    assert measured.split() == ['all', '10.00', '11.00', '12.00', '13.00']
    assert paper.split()[:2] == ['77.8', '75.1'] and '(mean of 10 trials, sd of R1 0.50)' in paper
    assert second.split('|')[1].split() == ['-', '-', '(re-ranked)']
    assert len({line.index('|') for line in lines}) == 1


def test_without_reported_numbers_there_are_no_such_columns():
    text = format_results('roadscene', {'infrared_to_visible': result(10., flipped=True)})
    assert '|' not in text and 'reported' not in text and '(flipped images too)' in text


def test_verification_rates_stand_in_the_table_under_their_names():
    vr = {'VR@FAR=1%': 50., 'VR@FAR=0.01%': 7.5}
    lines = format_results('oulu_casia', {'nir_to_vis': result(
        10., **vr, reported={'R1': 100., 'VR@FAR=1%': 99.1}, warnings=['Too few impostor pairs.'])}).split('\n')
    assert [part.split() for part in lines[1].split('|')] == [
        ['oulu_casia', 'R1', 'R10', 'mAP', 'mINP', *vr], ['R1', 'VR@FAR=1%']]
    assert [part.split() for part in lines[2].split('|')] == [
        ['nir_to_vis', '10.00', '11.00', '12.00', '13.00', '50.00', '7.50'], ['100.0', '99.1']]
    assert lines[1].rindex('%') == len(lines[2]) - 1 and lines[3:] == ['Too few impostor pairs.']


def test_outcomes_round_trip(tmp_path):
    outcomes = {'a': {'x': Outcomes(
        np.array([5, 5, 9]), np.array([[0, 3, -1], [1, 0, -1]]), np.array([[1, .25, np.nan], [.5, 1, np.nan]]),
        np.ones((2, 3)), np.array(['VR@FAR=1%']), np.array([[[0, 1.5, np.nan]], [[.5, 1, np.nan]]]),
        np.array([[0, 1], [.5, 1], [.9, -1]]))}, 'b': {}}
    write_outcomes(tmp_path / 'o.npz', outcomes)
    found = read_outcomes(tmp_path / 'o.npz')
    assert list(found) == ['a'] and list(found['a']) == ['x']
    for mine, its in zip(found['a']['x'], outcomes['a']['x'], strict=True):
        if its.dtype.kind == 'U':
            assert mine.tolist() == its.tolist()
        else:
            np.testing.assert_allclose(mine, its)


def test_counts_beyond_32_bits_and_exact_means_are_kept(tmp_path):
    ap = np.ones((1, 1))
    mine = Outcomes(
        np.array([5]), np.zeros((1, 1), dtype=int), ap, ap, distances=np.array([[2 ** 40], [3]]),
        distance_means=np.array([1 / 3, np.nan]))
    write_outcomes(tmp_path / 'o.npz', {'a': {'x': mine}})
    found = read_outcomes(tmp_path / 'o.npz')['a']['x']
    assert found.distances.tolist() == [[2 ** 40], [3]]
    assert found.distance_means[0] == 1 / 3 and np.isnan(found.distance_means[1])


def test_outcomes_of_an_older_version(tmp_path):
    ap = np.ones((1, 2))
    write_outcomes(tmp_path / 'o.npz', {'a': {'x': Outcomes(np.array([5, 6]), np.zeros((1, 2), dtype=int), ap, ap)}})
    with np.load(tmp_path / 'o.npz') as file:
        older = {key: file[key] for key in file.files if 'distance' not in key}
    assert len(older) == 7
    np.savez(tmp_path / 'older.npz', **older)
    found = read_outcomes(tmp_path / 'older.npz')['a']['x']
    assert found.distances.shape == (2, 0) and np.isnan(found.distance_means).all()
    assert found.per_query('R1').tolist() == [100, 100]


def test_damaged_outcomes(tmp_path):
    (tmp_path / 'o.npz').write_bytes(b'not a zip')
    np.savez(tmp_path / 'other.npz', a=np.ones(3))
    write_outcomes(tmp_path / 'half.npz', {'a': {'x': Outcomes(*np.ones((4, 1, 1000)))}})
    (tmp_path / 'half.npz').write_bytes((tmp_path / 'half.npz').read_bytes()[:-200])
    for name in ('o', 'other', 'half'):
        with pytest.raises(ValueError, match=f'{name}.npz" is damaged, or holds no outcomes.*fdnm evaluate'):
            read_outcomes(tmp_path / f'{name}.npz')
    with pytest.raises(FileNotFoundError):
        read_outcomes(tmp_path / 'none.npz')
