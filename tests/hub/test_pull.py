import json
import os
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fdnm_timm.hub import save_pretrained

from .client import Client, digest
from .conftest import make_model

TOKEN = 'hf_write'


def publish(hub, repo_id, folder, **changes):
    """Put a folder's files into a new repository, those named in `changes` changed."""
    hub.storage.create(repo_id, private=changes.pop('private', False), gated=changes.pop('gated', False))
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    return hub.storage.commit(repo_id, {**files, **changes}, 'model')


def gets(hub, name):
    return [request for request in hub.requests if request.method == 'GET' and request.path.endswith(name)]


def cached(cache):
    """Files of a cache by name: blobs, and links that lead somewhere."""
    return sorted(path.name for path in Path(cache).glob('models--*/*/**/*') if path.is_file())


def refused(answer, message):
    assert answer.error == 'HubError' and re.search(message, answer.message, re.DOTALL), answer
    return True


def test_arguments_replace_the_recorded_ones(hub, client, model, folder, tmp_path):
    commit = publish(hub, 'org/args', folder)
    pulled = client('pull', repo_id='org/args', cache_dir=tmp_path).value
    assert pulled['hf_hub_id'] == f'org/args@{commit.oid}' and pulled['digest'] == digest(model)
    other = client('pull', repo_id='org/args', cache_dir=tmp_path, num_classes=9).value
    assert other['num_classes'] == 9 and other['backbone'] == pulled['backbone']
    assert other['digest'] not in (None, pulled['digest'])
    refused(client('pull', repo_id='org/args', cache_dir=tmp_path, no_such=1), 'no_such.*as asked|as asked.*no_such')


def test_push_meanwhile_does_not_mix_two_commits(hub, client, model, folder, tmp_path):
    first = publish(hub, 'org/mixed', folder)
    new = save_pretrained(make_model(1), tmp_path / 'new')
    hub.faults.add('safetensors$', meanwhile=lambda: hub.storage.commit(
        'org/mixed', {file.name: file.read_bytes() for file in new.iterdir()}, 'new'))
    pulled = client('pull', repo_id='org/mixed', cache_dir=tmp_path / 'cache')
    assert len(hub.storage.repos['org/mixed'].commits) == 3
    assert pulled.value['digest'] == digest(model) and not pulled.warnings
    assert pulled.value['hf_hub_id'].endswith(first.oid)


@pytest.mark.parametrize('name', ['model.safetensors', 'config.json'])
def test_flipped_byte_is_fetched_again_once(hub, client, model, folder, tmp_path, name):
    repo_id = f'org/flip-{name}'
    publish(hub, repo_id, folder)
    hub.faults.add(f'{name}$', method='GET', flip=200)
    pulled = client('pull', repo_id=repo_id, cache_dir=tmp_path)
    assert pulled.value['digest'] == digest(model) and len(gets(hub, name)) == 2
    assert len(pulled.warnings) == 1 and 'was damaged, and is fetched again' in pulled.warnings[0]
    hub.requests.clear()
    assert client('pull', repo_id=repo_id, cache_dir=tmp_path).value['digest'] == digest(model)
    assert gets(hub, name) == []


def test_bytes_that_stay_flipped_are_refused_and_not_kept(hub, client, folder, tmp_path):
    publish(hub, 'org/flips', folder)
    hub.faults.add('safetensors$', method='GET', times=None, flip=-1)
    refused(client('pull', repo_id='org/flips', cache_dir=tmp_path), 'refused and not kept.*config.json records')
    assert len(gets(hub, 'safetensors')) == 2
    assert [name for name in cached(tmp_path) if name not in ('main', 'config.json') and len(name) != 40] == []
    assert list(tmp_path.glob('models--*/snapshots/*/*.safetensors')) == []


def test_copy_damaged_in_the_cache_is_replaced(hub, client, model, folder, tmp_path):
    publish(hub, 'org/rotten', folder)
    client('pull', repo_id='org/rotten', cache_dir=tmp_path)
    blob = next(path for path in tmp_path.glob('models--*/blobs/*') if len(path.name) == 64)
    blob.write_bytes(blob.read_bytes()[:-4] + b'rot!')
    with hub.down():
        refused(client('pull', repo_id='org/rotten', cache_dir=tmp_path),
                'held a damaged model.safetensors.*removed.*cannot be reached')
    assert not blob.exists()
    assert client('pull', repo_id='org/rotten', cache_dir=tmp_path).value['digest'] == digest(model)


def test_interrupted_download_resumes(hub, client, tmp_path):
    large = make_model(num_stages=3)
    publish(hub, 'org/large', save_pretrained(large, tmp_path / 'large'))
    hub.faults.add('safetensors$', method='GET', cut=11_000_000)
    pulled = client('pull', repo_id='org/large', cache_dir=tmp_path / 'cache')
    assert pulled.value['digest'] == digest(large) and not pulled.warnings
    # the client writes pieces of 10 MiB
    assert [request.range for request in gets(hub, 'safetensors')] == [None, f'bytes={10 * 2 ** 20}-']


def test_download_that_the_client_gives_up_is_tried_again(hub, client, model, folder, tmp_path):
    publish(hub, 'org/later', folder)
    hub.faults.add('safetensors$', method='GET', times=2, status=503, headers={'Retry-After': '3'})
    pulled = client('pull', repo_id='org/later', cache_dir=tmp_path)
    assert pulled.value['digest'] == digest(model) and pulled.sleeps.count(3.0) == 2


def test_without_network(hub, client, model, folder, tmp_path):
    publish(hub, 'org/offline', folder)
    client('pull', repo_id='org/offline', cache_dir=tmp_path)
    with hub.down():
        pulled = client('pull', repo_id='org/offline', cache_dir=tmp_path)
        assert pulled.value['digest'] == digest(model)
        empty = tmp_path / 'empty'
        refused(client('pull', repo_id='org/offline', cache_dir=empty), f'cannot be reached.*cache at "{empty}"')


def test_offline_mode_in_a_fresh_process(hub, client, model, folder, tmp_path):
    publish(hub, 'org/mode', folder)
    client('pull', repo_id='org/mode', cache_dir=tmp_path)
    hub.requests.clear()
    offline = Client(hub.url, tmp_path / 'home', HF_HUB_OFFLINE='1')
    try:
        assert offline('pull', repo_id='org/mode', cache_dir=tmp_path).value['digest'] == digest(model)
        assert offline('timm', model_name='hf-hub:org/mode', cache_dir=tmp_path).value['digest'] == digest(model)
        missing = offline('pull', repo_id='org/other', cache_dir=tmp_path)
        refused(missing, 'HF_HUB_OFFLINE forbids.*"org/other".*unset HF_HUB_OFFLINE')
        refused(offline('push', model=folder, repo_id='org/other', token=TOKEN), 'unset HF_HUB_OFFLINE to push')
    finally:
        offline.close()
    assert hub.requests == []


def test_private_and_gated_repositories(hub, client, folder, tmp_path):
    publish(hub, 'org/private', folder, private=True)
    publish(hub, 'org/gated', folder, gated=True)
    pull = dict(cache_dir=tmp_path)
    for repo_id, token, message in [
        ('org/private', None, 'needs a login.*hf auth login.*HF_TOKEN'),
        ('org/private', 'hf_typo', 'token was not accepted.*expired'),
        ('org/gated', None, 'is gated: log in.*ask for access at http'),
        ('org/gated', 'hf_read', 'is gated: ask for access at http'),
        ('org/nothing', None, 'does not exist or needs a login'),
        ('org/nothing', 'hf_read', 'does not exist, or is private.*check the name'),
    ]:
        refused(client('pull', repo_id=repo_id, token=token, **pull), message)
    for repo_id in ('org/private', 'org/gated'):
        assert client('pull', repo_id=repo_id, token=TOKEN, **pull).value['digest']


def test_revisions(hub, client, folder, tmp_path):
    commit = publish(hub, 'org/revisions', folder)
    hub.storage.repos['org/revisions'].tags.update({'v1': commit.oid, 'v2': commit.oid})
    refused(client('pull', repo_id='org/revisions@v3', cache_dir=tmp_path), 'no revision "v3".*tags are v1, v2')
    assert client('pull', repo_id=f'org/revisions@{commit.oid[:40]}', cache_dir=tmp_path).value['digest']
    both = client('pull', repo_id='org/revisions@v1', revision='v2')
    assert both.error == 'ValueError' and 'give one of the two' in both.message
    bad = client('pull', repo_id='org/revisions/x')
    assert bad.error == 'ValueError' and '"org/name" or "org/name@revision"' in bad.message


class _Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pickle_alone_is_refused_unless_allowed(hub, client, model, folder, tmp_path):
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'p.bin')
    publish(hub, 'org/pickle', folder, **{
        'model.safetensors': None, 'pytorch_model.bin': (tmp_path / 'p.bin').read_bytes()})
    refused(client('pull', repo_id='org/pickle', cache_dir=tmp_path / 'c'), 'pickle alone.*allow_pickle=True')
    assert gets(hub, 'pytorch_model.bin') == []
    allowed = dict(repo_id='org/pickle', cache_dir=tmp_path / 'c', allow_pickle=True)
    assert client('pull', **allowed).value['digest'] == digest(model)
    with hub.down():
        assert client('pull', **allowed).value['digest'] == digest(model)


def test_malicious_pickle_runs_nothing(hub, client, folder, tmp_path):
    target = tmp_path / 'touched'
    torch.save({'state_dict': _Touch(target)}, tmp_path / 'p.bin')
    torch.load(tmp_path / 'p.bin', weights_only=False)
    assert target.exists()  # so it does what it is made for
    target.rmdir()
    publish(hub, 'org/evil', folder, **{
        'model.safetensors': None, 'pytorch_model.bin': (tmp_path / 'p.bin').read_bytes()})
    for allow, message in ((False, 'pickle alone'), (True, 'holds more than tensors, and was refused before')):
        refused(client('pull', repo_id='org/evil', cache_dir=tmp_path / 'c', allow_pickle=allow), message)
        assert not target.exists()


def test_damaged_or_foreign_repositories(hub, client, folder, tmp_path):
    config = json.loads((folder / 'config.json').read_text())
    state = make_model().state_dict()
    state.pop('stages.0.0.conv1.weight')
    save_file(state, tmp_path / 'truncated')
    plain = {k: v for k, v in config.items() if k != 'fdnm'}
    for number, (files, message) in enumerate([
        ({'config.json': b'{"architecture": "fdnm'}, 'is no JSON.*publish it again'),
        ({'config.json': b'[]'}, 'holds a list'),
        ({'config.json': json.dumps({'pretrained_cfg': {}}).encode()}, 'no "architecture"'),
        ({'config.json': json.dumps({**config, 'fdnm': []}).encode()}, 'where an object belongs'),
        ({'config.json': None}, 'lacks config.json'),
        ({'config.json': json.dumps({**config, 'architecture': 'fdnm_vit'}).encode()}, '"fdnm_vit".*upgrade'),
        ({'config.json': json.dumps({**config, 'architecture': 'resnet18'}).encode()}, 'not of fdnm_timm'),
        ({'config.json': json.dumps({**config, 'model_args': {'anm': True, 'new': 1}}).encode()}, "'new'.*upgrade"),
        ({'config.json': json.dumps({**config, 'pretrained_cfg': {'input_size': [1]}}).encode()}, 'cannot be built'),
        ({'config.json': json.dumps({**config, 'pretrained_cfg': {'custom_load': True}}).encode()}, 'weights random'),
        ({'config.json': json.dumps({**config, 'fdnm': {'sha256': {'model.safetensors': '0' * 64}}}).encode()},
         'refused and not kept.*0000'),
        ({'model.safetensors': None}, 'neither model.safetensors nor pytorch_model.bin'),
        ({'config.json': json.dumps(plain).encode(), 'model.safetensors': (tmp_path / 'truncated').read_bytes()},
         '1 of .* keys are missing: stages.0.0.conv1.weight'),
        ({'config.json': json.dumps(plain).encode(), 'model.safetensors': b'no tensors'}, 'cannot be read'),
    ]):
        publish(hub, f'org/bad{number}', folder, **files)
        refused(client('pull', repo_id=f'org/bad{number}', cache_dir=tmp_path / 'c'), message)


def test_pushed_by_plain_timm_is_held_against_the_hubs_hash(hub, client, model, folder, tmp_path):
    config = json.loads((folder / 'config.json').read_text())
    config.pop('fdnm')
    publish(hub, 'org/plain', folder, **{'config.json': json.dumps(config).encode()})
    hub.faults.add('safetensors$', method='GET', flip=-1)
    pulled = client('pull', repo_id='org/plain', cache_dir=tmp_path)
    assert pulled.value['digest'] == digest(model) and len(gets(hub, 'safetensors')) == 2
    # a cache without links does not know the Hub's hashes
    for link in tmp_path.glob('models--*/snapshots/*/*'):
        content = link.read_bytes()
        link.unlink()
        link.write_bytes(content)
    pulled = client('pull', repo_id='org/plain', cache_dir=tmp_path)
    assert pulled.value['digest'] == digest(model) and 'records no SHA-256' in pulled.warnings[0]
