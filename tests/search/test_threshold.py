"""Thresholds are those of `metrics.verification`, and say what they are worth."""
import numpy as np
import pytest
import torch

from fdnm_timm.metrics import verification
from fdnm_timm.metrics._embeddings import cosines, unit_rows
from fdnm_timm.search import choose_threshold, pids_of_csv, pids_of_folders

from .gallery import features, people

IDS = np.arange(80) % 20


def validation(ids=IDS, modality=None, noise=0.8):
    return features(people(ids, noise=noise), 'val', np.arange(len(ids)) // 40 if modality is None else modality)


def cosines_of_pairs(embeddings):
    """By hand: similarity of each pair i < j."""
    similarity = cosines(torch.tensor(embeddings), unit_rows(torch.tensor(embeddings))).numpy()
    rows, columns = np.triu_indices(len(embeddings), 1)
    return similarity[rows, columns], rows, columns


def test_infrared_is_paired_with_visible():
    found = choose_threshold(validation(), IDS, far=0.05)
    rows = validation().embeddings
    expected = verification(query=rows[40:], gallery=rows[:40], q_pids=IDS[40:], g_pids=IDS[:40], fars=(0.05,))
    assert found.value == expected.thresholds[0.05] and found.vr == expected.vr[0.05] and 0 < found.vr < 1
    assert (found.num_genuine, found.num_impostor) == (80, 1520) and found.far == 0.05
    assert found.origin == 'validation' and found.pairs == '40 infrared with 40 visible images' and not found.warnings


@pytest.mark.parametrize('modality', [-1, 0, 1])
@pytest.mark.parametrize('far', [0.2, 0.05, 0.003])
def test_one_modality_is_paired_with_itself(modality, far):
    found = choose_threshold(validation(modality=modality), IDS, far)
    similarity, rows, columns = cosines_of_pairs(validation().embeddings)
    genuine = IDS[rows] == IDS[columns]
    assert (found.num_genuine, found.num_impostor) == (genuine.sum(), (~genuine).sum())
    assert (similarity[~genuine] >= found.value).mean() <= far
    just_below = np.sort(similarity[~genuine])[::-1][int(far * found.num_impostor)]
    assert just_below < found.value <= np.nextafter(np.float32(just_below), np.float32(2)) + 1e-7
    assert found.vr == pytest.approx((similarity[genuine] >= found.value).mean(), abs=1e-12)
    assert found.pairs == '80 images with each other'


def test_images_of_two_persons_that_are_alike():
    """No threshold but one above 1 keeps them apart, and nothing passes it."""
    validation = features(np.ones((6, 4)), 'val')
    found = choose_threshold(validation, [0, 0, 1, 1, 2, 2], far=0.01)
    assert found.value > 1 and found.vr == 0


@pytest.mark.parametrize('modality', [None, 0])
def test_too_few_pairs_are_a_warning(modality):
    found = choose_threshold(validation(modality=modality), IDS, far=1e-4)
    (warning,) = found.warnings
    assert f'FAR 0.0001 is below 1 / {found.num_impostor}' in warning
    assert found.num_impostor == (1520 if modality is None else 3040)


def test_names_are_identities_too():
    names = [f'person {pid}' for pid in IDS]
    assert choose_threshold(validation(), names, 0.05) == choose_threshold(validation(), IDS, 0.05)


@pytest.mark.parametrize('pids, message', [
    (range(80), 'None of the 1600 pairs is genuine.*Identities are the names of the folders.*CSV'),
    ([0] * 80, 'None of the 1600 pairs is an impostor'),
    ([0] * 79, 'are 80 images, but 79 pids'),
])
def test_pids_that_do_not_do(pids, message):
    with pytest.raises(ValueError, match=message):
        choose_threshold(validation(), list(pids))


def test_pids_that_do_not_do_within():
    with pytest.raises(ValueError, match='none of its 80 images shares its identity with another'):
        choose_threshold(validation(modality=0), list(range(80)))
    with pytest.raises(ValueError, match=r'fars holds 0\.0'):
        choose_threshold(validation(), IDS, 0.)


def test_pids_of_folders():
    assert pids_of_folders(['a/cam1/0007/1.jpg', '0012/1.jpg', 'b\u00e9/x.png']) == ['0007', '0012', 'b\u00e9']


def test_pids_of_csv(tmp_path):
    file = tmp_path / 'pids.csv'
    file.write_text('\ufeffcamera,path,pid\n1,"a, b.png",7\n1,c.png,x\n2,c.png,x\n')
    assert pids_of_csv(file, ['c.png', 'a, b.png', 'c.png']) == ['x', '7', 'x']
    with pytest.raises(ValueError, match='no line for 1 of the 2 images, such as "d.png"'):
        pids_of_csv(file, ['c.png', 'd.png'])


@pytest.mark.parametrize('text, message', [
    ('file,pid\na,1\n', 'has no column path: its first line must name'),
    ('', 'has no column path and no column pid'),
    ('path,pid\na,1\nb\n', 'line 3: a path and a pid are expected'),
    ('path,pid\na,1\na,2\n', r'line 3: "a" is of \'2\' here and of \'1\' above'),
])
def test_a_bad_csv_is_told(tmp_path, text, message):
    file = tmp_path / 'pids.csv'
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        pids_of_csv(file, ['a'])
