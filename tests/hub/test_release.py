import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

import fdnm_timm
from fdnm_timm.hub.card import model_card
from fdnm_timm.hub.finished import read_finished_run
from fdnm_timm.hub.release import add_release, check_can_be_released, releases
from fdnm_timm.models._releases import MODELS, check_releases, read_releases

from ..hub_cache import write_hub_cache
from .small_run import REPO, changed_copy, small_run

ROOT = Path(__file__).parents[2]
COMMIT = '0' * 40  # that of `write_hub_cache`
ENTRY = {
    'model': 'fdnm_resnet18', 'tag': 'people_v1', 'repo': REPO, 'revision': COMMIT, 'sha256': 'a' * 64,
    'dataset': 'sysu_mm01', 'license': 'other', 'num_classes': 395, 'input_size': [3, 288, 144],
    'mean': [.5, .5, .5], 'std': [.25, .25, .25], 'interpolation': 'bicubic', 'crop_pct': 0.9, 'crop_mode': 'center',
}


@pytest.fixture(scope='module')
def run(sysu_tree) -> Path:
    return small_run(sysu_tree)


@pytest.fixture
def places(tmp_path) -> dict:
    """An empty manifest and a folder for releases."""
    (tmp_path / 'releases.json').write_text('[]')
    (tmp_path / 'hub').mkdir()
    return {'manifest': tmp_path / 'releases.json', 'folder': tmp_path / 'hub'}


def test_what_is_released_has_a_folder_and_a_tag():
    """Nothing is, so far; whatever will be is held to this."""
    names = [release.name for release in releases()]
    assert sorted(names) == sorted(path.name for path in (ROOT / 'hub').iterdir() if path.is_dir())
    tags = [name for name in timm.list_pretrained('fdnm_*') if not name.endswith('.in1k')]
    assert sorted(tags) == sorted(names)
    for name in names:
        assert {path.name for path in (ROOT / 'hub' / name).iterdir()} == {'config.yaml', 'results.json', 'README.md'}


def test_files_that_an_installed_package_needs_are_packaged():
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['setuptools']['package-data']['fdnm_timm']
    package = ROOT / 'fdnm_timm'
    packaged = {path for pattern in settings for path in package.glob(pattern)}
    assert {package / 'models' / 'releases.json', package / 'hub' / 'card_template.md'} <= packaged


def test_known_models_are_those_of_timm_s_registry():
    assert sorted(MODELS) == sorted(timm.list_models('fdnm_*'))


def test_manifest_is_read(tmp_path):
    (tmp_path / 'releases.json').write_text(json.dumps([ENTRY, {**ENTRY, 'tag': 'v2'}]))
    first, second = read_releases(tmp_path / 'releases.json')
    assert (first.name, second.name) == ('fdnm_resnet18.people_v1', 'fdnm_resnet18.v2')
    assert first.input_size == (3, 288, 144) and first.std == (.25, .25, .25) and first.repo == REPO


@pytest.mark.parametrize(('entries', 'message'), [
    ({}, 'holds dict, but a list'),
    (['fdnm_resnet18'], "release 0 is 'fdnm_resnet18', but an object"),
    ([{k: v for k, v in ENTRY.items() if k not in ('sha256', 'tag')}], 'release 0 lacks sha256, tag. Its keys must be'),
    ([{**ENTRY, 'sha512': ''}], 'release 0 has unknown sha512'),
    ([{**ENTRY, 'model': 'fdnm_resnet19'}], "\"model\" is 'fdnm_resnet19', but must be one of fdnm_lightcnn29, "),
    ([{**ENTRY, 'model': ['fdnm_resnet18']}], '"model" is .* but must be one of'),
    ([{**ENTRY, 'tag': 'v1.2'}], "\"tag\" is 'v1.2', but must be small letters"),
    ([{**ENTRY, 'tag': 'in1k'}], 'the tag "in1k" is that of the ImageNet backbone'),
    ([ENTRY, dict(ENTRY)], f'release 1: fdnm_resnet18.people_v1 is there already, from "{REPO}"'),
    ([ENTRY, {**ENTRY, 'tag': 'v2', 'sha256': 'A' * 64}], 'release 1: "sha256" is .* 64 hexadecimal'),
    ([{**ENTRY, 'sha256': 'a' * 63}], '"sha256" is .* 64 hexadecimal'),
    ([{**ENTRY, 'revision': 'main'}], "\"revision\" is 'main', but must be a commit"),
    ([{**ENTRY, 'repo': 'small'}], '"repo" is .* "organisation/name"'),
    ([{**ENTRY, 'num_classes': True}], '"num_classes" is True'),
    ([{**ENTRY, 'input_size': [384, 192]}], r'"input_size" is \[384, 192\]'),
    ([{**ENTRY, 'mean': []}], r'"mean" is \[\]'),
    ([{**ENTRY, 'license': ''}], "\"license\" is ''"),
])
def test_faults_of_a_manifest(entries, message):
    with pytest.raises(ValueError, match=message):
        check_releases(entries, 'releases.json')


def test_manifest_that_is_no_json(tmp_path):
    (tmp_path / 'releases.json').write_text('[')
    for name in ('releases.json', 'none.json'):
        with pytest.raises(ValueError, match=f'Cannot read the manifest .*{name}.*install'):
            read_releases(tmp_path / name)


def test_release_is_written_and_its_tag_is_taken_then(run, places):
    finished, card = read_finished_run(run), model_card(run, REPO)
    check_can_be_released(finished, 'drawn', REPO, **places)
    folder = add_release(finished, 'drawn', REPO, COMMIT, card, 'apache-2.0', **places)
    assert folder == places['folder'] / 'fdnm_resnet18.drawn'
    assert (folder / 'README.md').read_text() == card
    assert json.loads((folder / 'results.json').read_text()) == json.loads((run / 'results.json').read_text())
    assert 'epochs: 1' in (folder / 'config.yaml').read_text() and 'root' not in (folder / 'config.yaml').read_text()
    (release,) = read_releases(places['manifest'])
    hub = json.loads((run / 'hub' / 'config.json').read_text())
    assert release.sha256 == hub['fdnm']['sha256']['model.safetensors'] and release.revision == COMMIT
    assert (release.num_classes, release.input_size, release.crop_mode) == (10, (3, 48, 24), 'squash')
    before = places['manifest'].read_bytes()
    for write in (lambda: check_can_be_released(finished, 'drawn', REPO, **places),
                  lambda: add_release(finished, 'drawn', REPO, COMMIT, 'other', 'other', **places),
                  lambda: add_release(finished, 'other', REPO, 'v1', 'other', 'other', **places)):
        with pytest.raises(ValueError, match='is there already|"revision" is'):
            write()
    assert places['manifest'].read_bytes() == before and (folder / 'README.md').read_text() == card
    assert len(list(places['folder'].iterdir())) == 1


def test_model_that_its_name_does_not_make_is_no_release(run, tmp_path, places):
    folder = changed_copy(run, tmp_path / 'run', lambda config, settings: None)
    config = json.loads((folder / 'hub' / 'config.json').read_text())
    config['model_args']['num_parts'] = 6
    (folder / 'hub' / 'config.json').write_text(json.dumps(config))
    with pytest.raises(ValueError, match='num_parts = 6, not 4. Publish it without --release'):
        check_can_be_released(read_finished_run(folder), 'drawn', REPO, **places)


def test_no_place_for_a_release(run, places):
    places['folder'].rmdir()
    with pytest.raises(FileNotFoundError, match='pip install --editable'):
        check_can_be_released(read_finished_run(run), 'drawn', REPO, **places)


def test_installed_package_with_a_release(run, places, tmp_path):
    """A package with a manifest of its own, in a process of its own: timm lists the tag, and loads it."""
    add_release(
        read_finished_run(run), 'drawn', REPO, COMMIT, 'card', 'apache-2.0', **places)
    entries = [*json.loads(places['manifest'].read_text()), {**ENTRY, 'model': 'fdnm_lightcnn29', 'tag': 'faces',
               'input_size': [1, 144, 144], 'mean': [0.], 'std': [1.]}, ENTRY]
    source = Path(fdnm_timm.__file__).parent
    package = shutil.copytree(source, tmp_path / 'site' / 'fdnm_timm', ignore=shutil.ignore_patterns('__pycache__'))
    (package / 'models' / 'releases.json').write_text(json.dumps(entries))
    write_hub_cache(tmp_path / 'cache', REPO, load_file(run / 'hub' / 'model.safetensors'))
    code = f'''
import json, sys
import timm, torch
import fdnm_timm
assert fdnm_timm.__file__.startswith({str(tmp_path)!r}), fdnm_timm.__file__
heavy = [name for name in ('pydantic', 'torchreid', 'matplotlib', 'scipy') if name in sys.modules]
model = timm.create_model('fdnm_resnet18.drawn', pretrained=True).eval()
with torch.no_grad():
    torch.save(model(torch.ones(1, 3, 48, 24), 'infrared'), {str(tmp_path / 'logits.pt')!r})
names = ('fdnm_resnet18', 'fdnm_resnet18.drawn', 'fdnm_resnet18.people_v1', 'fdnm_lightcnn29')
print(json.dumps(dict(
    heavy=heavy, listed=timm.list_pretrained('fdnm_*'), size=model.pretrained_cfg['input_size'],
    cfgs={{name: timm.get_pretrained_cfg(name).to_dict() for name in names}})))
'''
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(tmp_path / 'site'), 'HF_HUB_CACHE': str(tmp_path / 'cache'),
             'HF_HUB_OFFLINE': '1'})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found['heavy'] == [] and found['size'] == [3, 48, 24]
    assert {'fdnm_resnet18.drawn', 'fdnm_resnet18.people_v1', 'fdnm_lightcnn29.faces', 'fdnm_resnet18.in1k',
            'fdnm_resnet50.in1k'} <= set(found['listed'])
    cfgs = found['cfgs']
    assert cfgs['fdnm_resnet18']['tag'] == 'in1k'  # the default stays
    assert cfgs['fdnm_resnet18.drawn']['hf_hub_id'] == f'{REPO}@{COMMIT}'
    for key in ('num_classes', 'input_size', 'mean', 'std', 'interpolation', 'crop_pct', 'crop_mode', 'license'):
        assert cfgs['fdnm_resnet18.people_v1'][key] == ENTRY[key], key
    assert cfgs['fdnm_lightcnn29']['tag'] == 'faces' and cfgs['fdnm_lightcnn29']['fixed_input_size'] is True
    assert cfgs['fdnm_lightcnn29']['first_conv'] == ['stem.visible.filter', 'stem.infrared.filter']
    trained = timm.create_model(f'local-dir:{run / "hub"}', pretrained=True).eval()
    with torch.no_grad():
        expected = trained(torch.ones(1, 3, 48, 24), 'infrared')
    assert expected.shape == (1, 10) and torch.equal(torch.load(tmp_path / 'logits.pt'), expected)
