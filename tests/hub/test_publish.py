import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import metadata_load

import fdnm_timm
from fdnm_timm.cli import main
from fdnm_timm.hub.card import model_card
from fdnm_timm.models._releases import read_releases

from .small_run import REPO, changed_copy, small_run

DOCUMENT = Path(__file__).parents[2] / 'docs' / 'hub.md'


@pytest.fixture(scope='module')
def run(sysu_tree) -> Path:
    return small_run(sysu_tree)


def fails(capfd, *args) -> str:
    assert main(['publish', *map(str, args)]) == 2
    out, err = capfd.readouterr()
    assert out == '' and err.startswith('fdnm publish: ') and err.count('fdnm publish: ') == 1
    return err


@pytest.fixture
def no_network(monkeypatch):
    """Whoever calls the Hub fails."""
    def refuse(*args, **kwargs):
        raise AssertionError('the Hub was called')
    monkeypatch.setattr('huggingface_hub.HfApi.create_commit', refuse)
    monkeypatch.setattr('huggingface_hub.HfApi.create_repo', refuse)
    monkeypatch.setattr('huggingface_hub.HfApi.model_info', refuse)


def test_dry_run_prints_the_card_alone(run, capfd, no_network):
    assert main(['publish', str(run), '--repo', REPO, '--private', '--tag', 'v1', '--dry-run']) == 0
    out, err = capfd.readouterr()
    assert out == model_card(run, REPO) + '\n'
    assert f'{REPO}, tag v1; if the repository is new, it is private' in err and 'Nothing is uploaded' in err
    size = (run / 'hub' / 'model.safetensors').stat().st_size
    assert re.search(rf'model\.safetensors +{size:,} bytes', err) and re.search(r'README\.md +[\d,]+ bytes', err)


def test_dry_run_into_a_folder(run, tmp_path, capfd, no_network):
    assert main(['publish', str(run), '--repo', REPO, '--dry-run', '--out', str(tmp_path / 'out')]) == 0
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['README.md']
    assert metadata_load(tmp_path / 'out' / 'README.md')['library_name'] == 'timm'
    assert 'public' in capfd.readouterr().out


@pytest.mark.parametrize('repo', ['small', 'a/b/c', 'my lab/small', '-/-'])
def test_name_of_a_repository(run, capfd, no_network, repo):
    assert repo in fails(capfd, run, f'--repo={repo}', '--dry-run')


def test_card_goes_to_a_folder_only_when_nothing_is_uploaded(run, tmp_path, capfd, no_network):
    assert '--dry-run' in fails(capfd, run, '--repo', REPO, '--out', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_release_is_not_private(run, capfd, no_network):
    assert '--private' in fails(capfd, run, '--repo', REPO, '--release', 'drawn', '--private')


def test_folder_that_is_no_run(tmp_path, capfd, no_network):
    assert f'"{tmp_path}" is no run' in fails(capfd, tmp_path, '--repo', REPO)


@pytest.mark.parametrize('missing', ['outcomes.npz', 'results.json', 'hub/config.json'])
def test_run_that_is_not_finished(run, tmp_path, capfd, no_network, missing):
    folder = changed_copy(run, tmp_path / 'run', lambda config, settings: None)
    (folder / missing).unlink()
    assert f'fdnm train --resume {folder}' in fails(capfd, folder, '--repo', REPO)


def test_exchanged_weights(run, tmp_path, capfd, no_network):
    folder = changed_copy(run, tmp_path / 'run', lambda config, settings: None)
    with open(folder / 'hub' / 'model.safetensors', 'r+b') as file:
        file.seek(-1, os.SEEK_END)
        file.write(b'\x01')
    assert 'SHA-256' in fails(capfd, folder, '--repo', REPO)


def test_tag_of_a_release_is_looked_at_before_anything_is_uploaded(run, capfd, no_network):
    assert 'the tag "in1k" is that of the ImageNet backbone' in fails(capfd, run, '--repo', REPO, '--release', 'in1k')


def test_without_a_token(run, capfd, monkeypatch, tmp_path, no_network):
    monkeypatch.delenv('HF_TOKEN', raising=False)
    monkeypatch.setattr('huggingface_hub.constants.HF_TOKEN_PATH', str(tmp_path / 'token'))
    assert main(['publish', str(run), '--repo', REPO]) == 2
    out, err = capfd.readouterr()
    assert 'hf auth login' in err and 'Published' not in out


SCRIPT = r'''
import re, sys
from pathlib import Path
import timm, torch
from fdnm_timm.cli import main
from fdnm_timm.hub import from_pretrained

document, folder, repo, *args = sys.argv[1:]
status = main(args)
if status:
    sys.exit(status)
print('Documented:')
for code in re.findall(r'```python\n(.*?)```', Path(document).read_text(), re.DOTALL):
    exec(code.replace('organisation/name', repo).replace('runs/mine/hub', folder), {})
local, *published = (
    timm.create_model(f'local-dir:{folder}', pretrained=True).eval(),
    timm.create_model(f'hf-hub:{repo}@v1', pretrained=True).eval(), from_pretrained(f'{repo}@v1'))
x = torch.randn(2, 3, 48, 24)
with torch.no_grad():
    for model in published:
        assert torch.equal(model(x, 'infrared'), local(x, 'infrared')) and not model.training
'''


def test_published_run_loads_as_documented(run, hub, tmp_path):
    """In a checkout and a process of its own, since the client reads HF_ENDPOINT when it is imported."""
    repo, checkout = 'org/published', tmp_path / 'checkout'
    shutil.copytree(
        Path(fdnm_timm.__file__).parent, checkout / 'fdnm_timm', ignore=shutil.ignore_patterns('__pycache__'))
    (checkout / 'hub').mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith('HF_') and not k.lower().endswith('_proxy')}
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, DOCUMENT, run / 'hub', repo, 'publish', run, '--repo', repo, '--tag', 'v1',
         '--message', 'First', '--release', 'drawn'],
        capture_output=True, text=True, cwd=tmp_path, env={
            **kept, 'PYTHONPATH': str(checkout), 'HF_ENDPOINT': hub.url, 'HF_HOME': str(tmp_path / 'home'),
            'HF_TOKEN': 'hf_write', 'HF_HUB_DISABLE_XET': '1', 'HF_HUB_DISABLE_PROGRESS_BARS': '1'})
    assert done.returncode == 0, done.stderr
    commit = hub.storage.repos[repo].commits[-1]  # of the command: what the document pushes is the same
    assert commit.message == 'First' and {'model.safetensors', 'config.json', 'README.md'} <= set(commit.files)
    out, _, documented = done.stdout.partition('Documented:\n')
    assert f'Published: {hub.url}/{repo}\nCommit: {commit.oid}, tag v1' in out and commit.oid in documented
    snippet = out[out.index('import timm'):]
    compile(snippet, 'snippet', 'exec')
    assert f"timm.create_model('hf-hub:{repo}@v1'" in snippet
    card = hub.storage.object(repo, commit.files['README.md']['oid']).read_text()
    assert card == model_card(run, repo) == (checkout / 'hub' / 'fdnm_resnet18.drawn' / 'README.md').read_text()
    (release,) = read_releases(checkout / 'fdnm_timm' / 'models' / 'releases.json')
    assert (release.name, release.repo, release.revision) == ('fdnm_resnet18.drawn', repo, commit.oid)
    assert release.license == 'apache-2.0' and release.dataset == 'synthetic_vi'
