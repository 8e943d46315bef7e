import json
import re

import pytest

from fdnm_timm.hub import save_pretrained

from .client import digest
from .conftest import make_model

CARD = '---\nlibrary_name: timm\ntags:\n- fdnm\n---\n# A model\n'
TOKEN = 'hf_write'


def messages(hub, repo_id):
    return [commit.message for commit in hub.storage.repos[repo_id].commits]


def count(hub, method, path):
    return sum(request.method == method and path in request.path for request in hub.requests)


def test_one_commit_that_plain_timm_loads(hub, client, model, folder, tmp_path):
    pushed = client(
        'push', model=folder, repo_id='org/first', token=TOKEN, tag='v1', card=CARD, commit_message='hello',
        files={'recipe.yaml': folder / 'config.json'})
    repo = hub.storage.repos['org/first']
    assert pushed.value == {
        'url': f'{hub.url}/org/first', 'commit': repo.commits[-1].oid, 'tag': 'v1', 'notes': []}
    assert messages(hub, 'org/first') == ['initial', 'hello']
    assert repo.tags == {'v1': pushed.value['commit']} and not repo.private
    files = repo.commits[-1].files
    assert sorted(files) == ['.gitattributes', 'README.md', 'config.json', 'model.safetensors', 'recipe.yaml']
    assert hub.storage.object('org/first', files['README.md']['oid']).read_text() == CARD
    assert hub.storage.object('org/first', files['model.safetensors']['oid']).read_bytes() == \
        (folder / 'model.safetensors').read_bytes()

    client('push', model=save_pretrained(make_model(1), tmp_path / 'other'), repo_id='org/first', token=TOKEN)
    old, new = digest(model), digest(make_model(1))
    assert old != new
    for number, (name, expected) in enumerate([('org/first@v1', old), ('org/first', new)]):
        loaded = client('timm', model_name=f'hf-hub:{name}', cache_dir=tmp_path / f'timm{number}')
        assert loaded.value['digest'] == expected
        pulled = client('pull', repo_id=name, cache_dir=tmp_path / f'pull{number}')
        assert pulled.value['digest'] == expected and not pulled.warnings
    assert client('pull', repo_id='org/first', revision='v1', cache_dir=tmp_path / 'pull1').value['digest'] == old


def test_config_is_complete(folder, model):
    config = json.loads((folder / 'config.json').read_text())
    assert config['model_args'] == model.constructor_args
    preprocessing = {k: config['pretrained_cfg'][k] for k in (
        'input_size', 'mean', 'std', 'interpolation', 'crop_pct', 'crop_mode')}
    assert preprocessing == {
        'input_size': [3, 384, 192], 'mean': [0.485, 0.456, 0.406], 'std': [0.229, 0.224, 0.225],
        'interpolation': 'bilinear', 'crop_pct': 1.0, 'crop_mode': 'squash'}
    assert not {'tag', 'license', 'origin_url'} & config['pretrained_cfg'].keys()  # they are the ImageNet weights'
    assert config['fdnm']['results'] == {'R1': 12.5}


def test_details_cannot_replace_what_is_verified(model, tmp_path):
    with pytest.raises(ValueError, match='sha256'):
        save_pretrained(model, tmp_path, details={'sha256': {}})
    assert list(tmp_path.iterdir()) == []


def test_transient_failures_are_tried_again(hub, client, folder):
    hub.faults.add('/api/models/org/retry$', times=2, drop='before')
    hub.faults.add('/api/repos/create', status=503, headers={'Retry-After': '7'})
    hub.faults.add('/api/validate-yaml', status=500)
    hub.faults.add('/lfs/', method='PUT', status=503)
    hub.faults.add('/commit/', times=2, status=429)
    hub.faults.add('/tag/', status=502)
    pushed = client('push', model=folder, repo_id='org/retry', token=TOKEN, tag='v1', card=CARD)
    assert pushed.error is None and messages(hub, 'org/retry') == ['initial', 'Publish the model']
    assert hub.storage.repos['org/retry'].tags == {'v1': pushed.value['commit']}
    assert 7.0 in pushed.sleeps
    assert count(hub, 'POST', '/commit/') == 3
    first, second = [sleep for sleep in pushed.sleeps if sleep != int(sleep)][:2]  # the client's have no jitter
    assert 0.75 <= first <= 1.25 and 1.5 <= second <= 2.5


@pytest.mark.parametrize('step', ['/api/repos/create', '/lfs/[0-9a-f]{64}', '/commit/main', '/tag/'])
def test_lost_answer_does_not_publish_twice(hub, client, folder, step):
    repo_id = f'org/lost{step.count("/")}{len(step)}'
    hub.faults.add(step, drop='after')
    pushed = client('push', model=folder, repo_id=repo_id, token=TOKEN, tag='v1', private=True)
    repo = hub.storage.repos[repo_id]
    assert pushed.error is None and pushed.value['notes'] == [] and pushed.sleeps
    assert messages(hub, repo_id) == ['initial', 'Publish the model'] and repo.private
    assert repo.tags == {'v1': repo.commits[-1].oid} == {'v1': pushed.value['commit']}


def test_lasting_failure_publishes_nothing(hub, client, folder):
    hub.faults.add('/commit/', times=None, status=503)
    pushed = client('push', model=folder, repo_id='org/outage', token=TOKEN, tag='v1')
    assert pushed.error == 'HubError' and 'HTTP 503' in pushed.message and 'try again later' in pushed.message
    assert count(hub, 'POST', '/commit/') == 5 and len(pushed.sleeps) == 4 and sum(pushed.sleeps) < 20
    repo = hub.storage.repos['org/outage']
    assert list(repo.commits[-1].files) == ['.gitattributes'] and repo.tags == {}


def test_long_retry_after_is_not_waited_for(hub, client, folder):
    hub.faults.add('/commit/', times=None, status=429, headers={'Retry-After': '3600'})
    pushed = client('push', model=folder, repo_id='org/limited', token=TOKEN)
    assert pushed.error == 'HubError' and 'HTTP 429' in pushed.message and pushed.sleeps == []


def test_tag_of_another_commit_stops_before_the_upload(hub, client, folder, tmp_path):
    first = client('push', model=folder, repo_id='org/tags', token=TOKEN, tag='v1').value
    other = save_pretrained(make_model(2), tmp_path)
    hub.requests.clear()
    refused = client('push', model=other, repo_id='org/tags', token=TOKEN, tag='v1')
    assert refused.error == 'ValueError' and 'has the tag "v1" already' in refused.message
    assert first['commit'] in refused.message and 'move_tag=True' in refused.message
    assert {request.method for request in hub.requests} == {'GET'}
    moved = client('push', model=other, repo_id='org/tags', token=TOKEN, tag='v1', move_tag=True).value
    assert hub.storage.repos['org/tags'].tags == {'v1': moved['commit']} != {'v1': first['commit']}


def test_same_push_again_sets_a_missing_tag_and_commits_nothing(hub, client, folder):
    hub.faults.add('/tag/', times=None, status=500)
    failed = client('push', model=folder, repo_id='org/again', token=TOKEN, tag='v1')
    assert failed.error == 'HubError' and 'is published' in failed.message and 'could not be set' in failed.message
    hub.faults.clear()
    for _ in range(2):
        again = client('push', model=folder, repo_id='org/again', token=TOKEN, tag='v1')
        assert 'held exactly these files' in again.value['notes'][0]
        assert messages(hub, 'org/again') == ['initial', 'Publish the model']
        assert hub.storage.repos['org/again'].tags == {'v1': again.value['commit']}


def test_visibility_that_is_not_as_asked_is_said(hub, client, folder):
    hub.storage.create('org/public')
    pushed = client('push', model=folder, repo_id='org/public', token=TOKEN, private=True)
    assert 'is public and stays public, though private was asked for' in pushed.value['notes'][0]
    assert pushed.warnings == pushed.value['notes'] and not hub.storage.repos['org/public'].private
    again = client('push', model=folder, repo_id='org/public', token=TOKEN, private=False)
    assert not any('stays' in note for note in again.value['notes'])


def test_old_pickle_is_pointed_out(hub, client, folder):
    hub.storage.create('org/old')
    hub.storage.commit('org/old', {'pytorch_model.bin': b'old'}, 'old')
    assert "still holds ['pytorch_model.bin']" in client(
        'push', model=folder, repo_id='org/old', token=TOKEN).value['notes'][0]


def test_push_at_the_same_moment_is_refused_whole(hub, client, folder):
    hub.faults.add('/commit/', meanwhile=lambda: hub.storage.commit('org/race', {'theirs': b''}, 'theirs'))
    pushed = client('push', model=folder, repo_id='org/race', token=TOKEN)
    assert pushed.error == 'HubError' and 'Someone else pushed' in pushed.message
    assert messages(hub, 'org/race') == ['initial', 'theirs']


def test_tag_set_at_the_same_moment_stays(hub, client, folder):
    hub.faults.add('/refs', times=1, meanwhile=lambda: None)
    hub.faults.add('/refs', meanwhile=lambda: hub.storage.repos['org/tagged'].tags.update(v1='theirs'))
    pushed = client('push', model=folder, repo_id='org/tagged', token=TOKEN, tag='v1')
    assert pushed.error == 'HubError' and 'could not be set. It was set on the commit theirs' in pushed.message
    assert hub.storage.repos['org/tagged'].tags == {'v1': 'theirs'}


@pytest.mark.parametrize('arguments, error, message', [
    (dict(token=None), 'HubError', 'needs a token with the write role.*hf auth login.*HF_TOKEN'),
    (dict(token='hf_typo'), 'HubError', 'token was not accepted.*hf auth login'),
    (dict(token='hf_read'), 'HubError', 'HTTP 403.*write role'),
    (dict(repo_id='name'), 'ValueError', 'must be "org/name"'),
    (dict(repo_id='org/name@v1'), 'ValueError', 'Give the tag by tag='),
    (dict(tag='v 1'), 'ValueError', 'tag is "v 1"'),
    (dict(files={'weights/model.pt': 'x'}), 'ValueError', 'pickles by their names'),
    (dict(files={'config.json': 'x'}), 'ValueError', 'which the model itself gives'),
    (dict(model='nowhere'), 'FileNotFoundError', 'has no config.json'),
    (dict(card='---\nname: [\n---\n'), 'ValueError', 'README.md'),
])
def test_refusals(hub, client, folder, arguments, error, message):
    pushed = client('push', **{'model': folder, 'repo_id': 'org/refused', 'token': TOKEN, **arguments})
    assert pushed.error == error and re.search(message, pushed.message, re.DOTALL), pushed
    assert 'org/refused' not in hub.storage.repos or messages(hub, 'org/refused') == ['initial']


def test_changed_weights_are_not_published(hub, client, folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with open(tmp_path / 'model.safetensors', 'ab') as file:
        file.write(b'\0')
    pushed = client('push', model=tmp_path, repo_id='org/changed', token=TOKEN)
    assert pushed.error == 'ValueError' and 'but config.json records' in pushed.message and not hub.requests


def test_push_without_network(hub, client, folder):
    with hub.down():
        pushed = client('push', model=folder, repo_id='org/down', token=TOKEN)
    assert pushed.error == 'HubError' and 'cannot be reached' in pushed.message and 'cache' not in pushed.message
