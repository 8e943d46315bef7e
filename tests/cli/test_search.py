"""The search command, from images to answers."""
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from fdnm_timm.cli import main
from fdnm_timm.extraction import load_embedder
from fdnm_timm.extraction.extract import extract
from fdnm_timm.extraction.features import read_features, write_features
from fdnm_timm.extraction.images import list_images
from fdnm_timm.metrics import retrieve, verification
from fdnm_timm.search import Index

from ..hub.small_run import small_run

NUMBER = 8  # people of each folder


@pytest.fixture(scope='module')
def run_dir(sysu_tree: Path) -> Path:
    return small_run(sysu_tree)


@pytest.fixture(scope='module')
def data(sysu_tree, run_dir, tmp_path_factory) -> Path:
    """Folders of images by modality, and the same as features."""
    root = tmp_path_factory.mktemp('search')
    cameras = {'visible': sysu_tree / 'cam1', 'infrared': sysu_tree / 'cam3', 'more_visible': sysu_tree / 'cam2'}
    # not every camera saw everybody
    people = sorted(set.intersection(*(set(os.listdir(camera)) for camera in cameras.values())))[:NUMBER]
    assert len(people) == NUMBER
    for folder, camera in cameras.items():
        for name in people:
            shutil.copytree(camera / name, root / folder / name)
    embedder = load_embedder(str(run_dir))
    for name, number in (('visible', 0), ('infrared', 1), ('more_visible', 0)):
        paths = list_images(str(root / name))
        extract(paths, np.full(len(paths), number), embedder, root / f'{name}.safetensors', workers=0)
    visible, infrared = (read_features(root / f'{name}.safetensors') for name in ('visible', 'infrared'))
    write_features(root / 'both.npz', visible._replace(
        embeddings=np.concatenate([visible.embeddings, infrared.embeddings]), paths=visible.paths + infrared.paths,
        modality=np.concatenate([visible.modality, infrared.modality])))
    return root


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def search(capfd):
    """Runs the command; gives its output and its notes."""
    def run(*args, status: int = 0):
        assert main(['search', '--quiet', '--workers', '0', '--device', 'cpu', *map(str, args)]) == status
        return capfd.readouterr()
    return run


@pytest.fixture
def fails(search):
    def run(*args) -> str:
        out, err = search(*args, status=2)
        assert err.startswith('fdnm search: ') and 'Traceback' not in err
        return err
    return run


def answers(file: str = 'out.json') -> dict:
    return json.loads(Path(file).read_text())


def test_images_are_found_as_metrics_finds_them(data, run_dir, search):
    out, err = search('--queries', data / 'infrared', '--gallery', data / 'visible', '--model', run_dir, '--top', 5,
                      '--out', 'out.json')
    assert '24 queries are in "out.json".' in out and err == ''
    gallery, query = (read_features(data / f'{name}.safetensors') for name in ('visible', 'infrared'))
    expected = retrieve(np.array(query.embeddings), np.array(gallery.embeddings), top=5)
    found = answers()
    assert [q['path'] for q in found['queries']] == query.paths
    for line, places in zip(found['queries'], expected):
        assert [match['path'] for match in line['matches']] == [gallery.paths[place] for place in places]
        assert [match['rank'] for match in line['matches']] == [1, 2, 3, 4, 5] and line['known'] is None
    assert found['index'] == {'folder': None, 'kind': 'flat', 'exact': True, 'effort': None, 'count': 24, 'dims': 5120}
    assert found['model']['fingerprint'] == gallery.metadata['fingerprint'] and found['threshold'] is None


def test_one_image_in_features_needs_no_model(data, search):
    """The features name the model that embeds the query."""
    image = sorted((data / 'infrared').glob('*/0001.jpg'))[2]
    out, _ = search('--queries', image, '--gallery', data / 'visible.safetensors', '--top', 2)
    lines = out.splitlines()
    assert lines[0] == str(image) and len(lines) == 3
    rank, similarity, path = lines[1].split()
    assert rank == '1' and 0 < float(similarity) <= 1 and path in list_images(str(data / 'visible'))


def test_modality_is_an_option(data, search):
    """The same images through the other stem are other queries."""
    found = {}
    for modality in ('auto-by-folder', 'infrared', 'visible'):
        search('--queries', data / 'infrared', '--gallery', data / 'visible.safetensors', '--out', 'out.json',
               '--query-modality', modality)
        found[modality] = [q['matches'][0]['similarity'] for q in answers()['queries']]
    assert found['auto-by-folder'] == found['infrared'] != found['visible']


@pytest.mark.parametrize('kind', ['auto', 'hnsw'])
def test_an_index_is_kept_and_grows(data, search, kind):
    out, _ = search('--gallery', data / 'visible.safetensors', '--save', 'people', '--index-kind', kind)
    assert f'24 images are in the {"flat" if kind == "auto" else kind} index "people"' in out
    out, _ = search('--gallery', 'people', '--add', data / 'more_visible', '--gallery-modality', 'visible')
    assert '24 of 24 images were added to "people", which now holds 48.' in out
    out, _ = search('--gallery', 'people', '--add', data / 'more_visible.safetensors', '--queries',
                    data / 'infrared.safetensors', '--out', 'out.json')
    assert '0 of 24 images were added' in out and answers()['index']['count'] == 48
    both = np.concatenate([
        read_features(data / f'{name}.safetensors').embeddings for name in ('visible', 'more_visible')])
    expected = retrieve(np.array(read_features(data / 'infrared.safetensors').embeddings), both, top=10)
    paths = Index.open('people').paths
    places = [[paths.index(match['path']) for match in q['matches']] for q in answers()['queries']]
    assert places == expected.tolist()


def test_a_threshold_is_chosen_and_kept(data, search):
    args = '--queries', data / 'infrared.safetensors', '--out', 'out.json'
    search('--gallery', data / 'visible.safetensors', '--save', 'people')
    out, err = search(
        *args, '--gallery', 'people', '--validation', data / 'both.npz', '--far', 0.1, '--store-threshold')
    visible, infrared = (
        np.array(read_features(data / f'{name}.safetensors').embeddings) for name in ('visible', 'infrared'))
    pids = np.repeat(np.arange(NUMBER), 3)
    expected = verification(query=infrared, gallery=visible, q_pids=pids, g_pids=pids, fars=(0.1,))
    found = answers()
    assert found['threshold']['value'] == expected.thresholds[0.1] and found['threshold']['vr'] == expected.vr[0.1]
    assert (found['threshold']['origin'], found['threshold']['num_impostor']) == ('validation', 504)
    assert f'Threshold {expected.thresholds[0.1]:.4f} at FAR 0.1' in out and '72 pairs of one person' in out
    known = [q['matches'][0]['similarity'] >= expected.thresholds[0.1] for q in found['queries']]
    assert [q['known'] for q in found['queries']] == known and 0 < sum(known) < 24
    assert f'{24 - sum(known)} are unknown' in out
    assert 'Note: FAR 0.1 is a rate of pairs' in err
    search(*args, '--gallery', 'people')
    assert answers() == found
    search(*args, '--gallery', 'people', '--threshold', 2)
    assert [q['known'] for q in answers()['queries']] == [False] * 24
    assert answers()['threshold'] == {
        **dict.fromkeys(found['threshold']), 'value': 2., 'origin': 'given', 'warnings': []}


def test_pids_come_from_a_csv_too(data, search):
    features = read_features(data / 'both.npz')
    lines = [f'{path},{Path(path).parent.name}' for path in features.paths]
    Path('pids.csv').write_text('\n'.join(['path,pid', *lines]))
    values = []
    for extra in ((), ('--validation-pids', 'pids.csv')):
        search('--queries', data / 'infrared.safetensors', '--gallery', data / 'visible.safetensors', '--out',
               'out.json', '--validation', data / 'both.npz', *extra)
        values.append(answers()['threshold'])
    assert values[0] == values[1] and values[0]['far'] == 0.01


def test_a_picture(data, search):
    out, _ = search('--queries', data / 'infrared', '--gallery', data / 'visible.safetensors', '--picture', 'found.png',
                    '--threshold', 0.5, '--out', 'out.json')
    assert 'Picture: "found.png".' in out
    assert Path('found.png').read_bytes().startswith(b'\x89PNG')


def test_images_that_cannot_be_read_are_told(data, search):
    shutil.copytree(sorted((data / 'infrared').iterdir())[0], 'infrared')
    Path('infrared/0009.jpg').write_bytes(b'no image')
    out, err = search('--queries', 'infrared', '--gallery', data / 'visible.safetensors', '--out', 'out.json')
    assert len(answers()['queries']) == 3
    assert 'Note: 1 of the query images could not be read and were left out: "infrared/0009.jpg" (' in err


FEATURES = '{data}/visible.safetensors'
MISTAKES = {
    '--queries {data}/infrared --gallery {data}/visible': 'is images, which a model must embed: give --model',
    f'--gallery {FEATURES}': 'nothing to do: give --queries, or --save',
    f'--gallery {FEATURES} --save x --out y.json': r'--out and --picture show what was found: give --queries',
    f'--gallery {FEATURES} --queries {FEATURES} --threshold 1 --validation x': 'either --threshold or --validation',
    f'--gallery {FEATURES} --queries {FEATURES} --far 0.1': 'give --validation',
    f'--gallery {FEATURES} --add x': '--add makes an index larger, but .* is none: make one with --save',
    '--gallery {index} --save x': 'is an index already: leave --save out',
    '--gallery {index} --queries x --index-kind ivf': 'was chosen when it was made',
    '--gallery {index} --queries {index}': 'is an index, which only --gallery takes',
    f'--gallery {FEATURES} --queries x --store-threshold --threshold 1': '--store-threshold needs a threshold',
    '--gallery {index} --store-threshold': '--store-threshold needs a threshold',
    f'--gallery {FEATURES} --queries x --picture x.gif': 'must end in .png, .pdf or .svg',
    f'--gallery {FEATURES} --queries nothing': 'There is no "nothing"',
    '--gallery nothing.npz --queries x': 'There is no file "nothing.npz" of features',
    f'--gallery {FEATURES} --queries {{data}}/unnamed': r'cannot be told.*The option is --query-modality here',
    f'--gallery {FEATURES} --queries {FEATURES} --validation {FEATURES} --validation-pids pids.csv':
        'has no line for 24 of the 24 images',
    f'--gallery {FEATURES} --queries {FEATURES} --top 0': 'top is 0',
    f'--gallery {FEATURES} --queries {FEATURES} --effort 3': 'always compares everything',
}


@pytest.mark.parametrize('line', MISTAKES)
def test_mistakes(data, line, fails, tmp_path_factory):
    index = tmp_path_factory.getbasetemp() / 'an_index'
    if not index.exists():
        Index.create(index, read_features(data / 'visible.safetensors'))
    if not (data / 'unnamed').exists():
        shutil.copytree(sorted((data / 'infrared').iterdir())[0], data / 'unnamed')
    Path('pids.csv').write_text('path,pid\na,1\n')
    err = fails(*line.format(data=data, index=index).split())
    assert re.search(MISTAKES[line], err), err
    assert os.listdir() == ['pids.csv']


def test_another_model_is_refused(data, fails):
    features = read_features(data / 'visible.safetensors')
    other = {**features.metadata, 'fingerprint': 'f' * 64, 'model': 'hf-hub:x/y'}
    write_features('other.npz', features._replace(metadata=other))
    err = fails('--queries', 'other.npz', '--gallery', data / 'visible.safetensors')
    assert 'The queries are of hf-hub:x/y (ffffffffffff), but the gallery is of local-dir:' in err
