"""Answers name paths, and tell who is unknown."""
import json
import re
from pathlib import Path

import numpy as np
import pytest

from fdnm_timm.extraction.features import write_features
from fdnm_timm.search import Index, Threshold, choose_threshold, search

from .gallery import MODEL, features, people

IDS = np.arange(120) % 12
STRANGERS = np.arange(12, 24)


def test_answers_are_the_nearest_images():
    gallery, queries = features(people(IDS)), features(people(IDS[:12], seed=1), 'q')
    answers = search(queries, gallery, top=5)
    found = Index(gallery).search(queries.embeddings, 5)
    assert [answer.query for answer in answers.answers] == queries.paths
    for answer, places, similarity in zip(answers.answers, found.places, found.similarity):
        assert answer.matches == [(f'g/{place}.png', value) for place, value in zip(places, similarity.tolist())]
        assert answer.known is None
    assert all(int(match.path[2:-4]) % 12 == row for row, answer in enumerate(answers.answers)
               for match in answer.matches)
    assert search(queries, Index(gallery), top=5) == answers


def test_strangers_are_unknown():
    """A threshold of other persons tells those of the gallery from those who are not in it."""
    gallery = features(people(IDS))
    queries = features(people(np.concatenate([np.arange(12), STRANGERS]), seed=1), 'q')
    ids = np.arange(60) % 20 + 30
    threshold = choose_threshold(features(people(ids, seed=2), 'val', np.arange(60) // 30), ids, far=1e-3)
    answers = search(queries, gallery, threshold=threshold)
    known = np.array([answer.known for answer in answers.answers])
    assert known[:12].all() and known[12:].mean() < 0.3
    for answer in answers.answers:
        assert answer.known is any(match.similarity >= threshold.value for match in answer.matches)


def test_the_threshold_itself_is_known():
    gallery, queries = features([[1, 0], [0, 1]]), features([[3, 4]], 'q')
    value = search(queries, gallery).answers[0].matches[0].similarity
    assert value == pytest.approx(0.8)
    above = float(np.nextafter(np.float32(value), np.float32(1)))
    assert [search(queries, gallery, threshold=t).answers[0].known for t in (value, above, -1)] == [True, False, True]


def test_the_index_keeps_its_threshold(tmp_path):
    gallery, queries = features([[1, 0], [0, 1]]), features([[3, 4]], 'q')
    index = Index.create(tmp_path / 'index', gallery)
    index.store_threshold(Threshold(0.9))
    opened = Index.open(tmp_path / 'index')
    assert search(queries, opened).answers[0].known is False
    assert search(queries, opened, threshold=0.5).answers[0].known is True
    assert search(queries, opened, threshold=0.5).threshold == Threshold(0.5)


def test_json(tmp_path):
    index = Index.create(tmp_path / 'index', features([[1, 0], [0, 1]]))
    threshold = Threshold(0.7, 'validation', 0.001, 0.9, 50, 5000, '10 with 10', ['few'])
    value = json.loads(json.dumps(search(features([[3, 4]], 'q'), index, 2, threshold).to_json()))
    similarity = [match.pop('similarity') for match in value['queries'][0]['matches']]
    assert similarity == pytest.approx([0.8, 0.6], abs=1e-7)
    assert value == {
        'model': {'name': 'local-dir:mine (aaaaaaaaaaaa)', **MODEL},
        'index': {'folder': str(tmp_path / 'index'), 'kind': 'flat', 'exact': True, 'effort': None, 'count': 2,
                  'dims': 2},
        'top': 2,
        'threshold': {'value': 0.7, 'origin': 'validation', 'far': 0.001, 'vr': 0.9, 'num_genuine': 50,
                      'num_impostor': 5000, 'pairs': '10 with 10', 'warnings': ['few']},
        'warnings': ['few'],
        'queries': [{'path': 'q/0.png', 'known': True, 'matches': [
            {'rank': 1, 'path': 'g/1.png'}, {'rank': 2, 'path': 'g/0.png'}]}],
    }


def test_a_rate_of_pairs_is_no_rate_of_searches():
    gallery, queries = features(people(IDS)), features(people(IDS[:2]), 'q')
    (warning,) = search(queries, gallery, threshold=Threshold(0.5, 'validation', 0.05)).warnings
    assert 'passes with about 6 of the 120 images' in warning and 'ask for FAR 8e-05' in warning
    assert search(queries, gallery, threshold=Threshold(0.5, 'validation', 0.008)).warnings == []


def test_ivf_says_that_it_is_not_exact():
    answers = search(features(people(IDS), 'q'), Index(features(people(IDS)), 'ivf'), effort=1)
    value = answers.to_json()['index']
    assert (value['kind'], value['exact'], value['effort']) == ('ivf', False, 1)


@pytest.mark.parametrize('queries, message', [
    (features(np.empty((0, 16)), 'q'), 'no queries'),
    (features(people([1]), 'q', fingerprint='b' * 64), r'The queries are of local-dir:mine \(bbbbbbbbbbbb\), but the'
                                                       r' gallery is of local-dir:mine \(aaaaaaaaaaaa\)'),
    (features(people([1], dims=8), 'q'), 'The queries have 8 dimensions, but the gallery has 16'),
])
def test_what_cannot_be_searched(queries, message):
    with pytest.raises(ValueError, match=message):
        search(queries, features(people(IDS)))


def test_a_threshold_is_a_number():
    with pytest.raises(ValueError, match='threshold is nan'):
        search(features(people([1]), 'q'), features(people(IDS)), threshold=float('nan'))


def test_the_example_of_the_docs(tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[2] / 'docs' / 'search.md').read_text()
    (code,) = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    validation = features(people(IDS, seed=3), modality=np.arange(120) // 60)
    validation = validation._replace(paths=[f'{pid}/{row}.png' for row, pid in enumerate(IDS)])
    for name, value in (('visible', features(people(IDS))), ('new', features(people(IDS, seed=1), 'new')),
                        ('validation', validation), ('infrared', features(people(IDS[:3], seed=2), 'q'))):
        write_features(f'{name}.safetensors', value)
    names: dict = {}
    exec(code, names)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ['q/0.png', 'q/1.png', 'q/2.png'] and len(names['index']) == 240
    assert names['rows'].shape == (120, 10)
