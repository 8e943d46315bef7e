"""The demo against a Hub on this machine, as `make demo` runs it."""
import json
import subprocess
import sys
from pathlib import Path

from .client import environment

SMALL = [
    'data.options={num_train: 6, num_val: 1, num_test: 4, images_per_camera: 2, height: 48, width: 24}',
    'data.height=48', 'data.width=24', 'data.num_ids=3', 'data.num_instances=1', 'data.workers=0', 'train.epochs=1']


def run_demo(out: Path, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-m', 'fdnm_timm', 'demo', '--out', str(out), *(a for s in SMALL for a in ('--set', s))],
        capture_output=True, text=True, timeout=300, env=environment(**variables))


def test_demo_publishes_to_and_pulls_from_a_hub_that_it_is_given(hub, tmp_path):
    done = run_demo(tmp_path / 'demo', url=hub.url, home=tmp_path / 'home', HF_TOKEN='hf_write')
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / 'demo' / 'demo.json').read_text())
    assert found['repo'] == 'org/fdnm_demo' and found['reload_difference'] == 0
    files = hub.storage.resolve('org/fdnm_demo', 'main').files
    assert {'model.safetensors', 'config.json', 'README.md'} <= files.keys()
    assert any(r.method == 'GET' and r.path.endswith('model.safetensors') for r in hub.requests)  # it came back
    assert f'{hub.url}/org/fdnm_demo' in done.stdout
    assert '<h1' in (tmp_path / 'demo' / 'report.html').read_text()
    assert (tmp_path / 'demo' / 'untrained.npz').exists()
