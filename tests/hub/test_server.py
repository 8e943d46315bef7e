import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from .server import Hub


def test_started_by_hand_it_keeps_what_is_there(tmp_path):
    with Hub(tmp_path) as hub:
        commit = hub.storage.create('org/name').commits[0]
    process = subprocess.Popen(
        [sys.executable, '-m', 'tests.hub.server', '--root', str(tmp_path)], cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        line = process.stdout.readline()
        url = re.fullmatch(r'export HF_ENDPOINT=(\S+) HF_TOKEN=hf_write HF_HUB_DISABLE_XET=1\n', line).group(1)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f'{url}/org/name/resolve/main/.gitattributes') as answer:
            assert answer.headers['X-Repo-Commit'] == commit.oid
            assert b'safetensors' in answer.read()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
