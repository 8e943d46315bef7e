import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fdnm_timm.cli import main
from fdnm_timm.extraction import Embedder, read_features

from ..engine.test_distributed import free_ports
from ..extraction.helpers import forked, small_model, write_images
from ..hub.client import environment
from ..hub.server import Hub
from ..hub.test_pull import publish

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def saved(tmp_path_factory) -> Path:
    return small_model(tmp_path_factory.mktemp('saved'))


@pytest.fixture(autouse=True)
def _images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(Path('d'), [f'{("vis", "nir")[i % 2]}/{i}.png' for i in range(8)])


@pytest.fixture
def run(saved):
    def extract(*args, out='f.npz') -> int:
        return main(['extract', *args, '--model', f'local-dir:{saved}', '--out', out, '--workers', '0', '--quiet',
                     '--batch-size', '2', '--shard-images', '2'])
    return extract


def test_folder(run, capfd):
    assert run('d') == 0
    assert '8 of 8 images are embedded in "f.npz", 256 values each' in capfd.readouterr().out
    found = read_features('f.npz')
    assert found.paths == sorted(found.paths) and len(found.paths) == 8
    assert found.modality.tolist() == [1] * 4 + [0] * 4  # nir, then vis


def test_several_sources_each_image_once(run, capfd):
    Path('l.txt').write_text('d/vis/2.png\nd/nir/1.png\nplain.png\tinfrared\n')
    write_images(Path('.'), ['plain.png'])
    assert run('l.txt', 'd/vis/*.png', 'd/nir/1.png') == 0
    found = read_features('f.npz')
    assert found.paths == ['d/vis/2.png', 'd/nir/1.png', 'plain.png'] + [f'd/vis/{i}.png' for i in (0, 4, 6)]
    assert found.modality.tolist() == [0, 1, 1, 0, 0, 0]
    Path('l.txt').write_text('d/vis/2.png\tinfrared\n')
    assert run('l.txt', 'd/vis/*.png', out='g.npz') == 2
    assert '"d/vis/2.png" is given twice, with different modalities' in capfd.readouterr().err


def test_modality_options(run, capfd):
    write_images(Path('d'), ['other.png', 'cam3/0001/1.png', 'cam4/0001/1.png'])
    assert run('d') == 2
    assert 'of 3 of 11 images cannot be told' in capfd.readouterr().err
    assert run('d', '--modality-default', 'unknown') == 0
    assert dict(zip(*read_features('f.npz')[1:3]))['d/other.png'] == -1
    assert run('d/cam*', '--layout', 'sysu_mm01') == 2  # a glob of folders
    assert run('d/cam*/**/*.png', '--layout', 'sysu_mm01', out='g.npz') == 0
    assert read_features('g.npz').modality.tolist() == [1, 0]
    assert run('d', '--modality', 'visible', out='h.npz') == 0
    assert set(read_features('h.npz').modality) == {0}


def test_skipped_images_are_reported(run, capfd):
    Path('d/vis/bad.png').write_bytes(b'')
    assert run('d') == 0
    assert 'cannot be read: 1, which "f.npz.errors.csv" lists' in capfd.readouterr().out
    assert run('d', '--on-error', 'fail', '--errors', 'e.csv', out='g.npz') == 2
    assert 'Cannot read the image "d/vis/bad.png"' in capfd.readouterr().err


def test_interrupt_says_how_to_go_on(run, capfd, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt  # no signal: jobs in the background ignore SIGINT

    with monkeypatch.context() as patch:
        patch.setattr(Embedder, 'embed', interrupted)
        assert run('d') == 130
    assert 'is in "f.npz.parts": the same command goes on from there' in capfd.readouterr().err
    assert Path('f.npz.parts').is_dir() and run('d') == 0


def test_mistakes_end_in_a_sentence(run, capfd):
    for args, out, message in (
            (['gone'], 'f.npz', 'There is no "gone"'),
            (['d'], 'f.bin', 'features are kept in files that end in'),
            (['d', '--device', 'gpu'], 'f.npz', 'The device "gpu" cannot be used')):
        assert run(*args, out=out) == 2
        out, err = capfd.readouterr()
        assert err.startswith('fdnm extract: ') and message in err and 'Traceback' not in err and out == ''
    assert os.listdir() == ['d']


def test_two_processes_make_the_same_file(run):
    Path('d/vis/bad.png').write_bytes(b'')
    assert run('d', out='one.safetensors') == 0
    (port,) = free_ports(1)

    def peer(rank: int) -> int:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
                          MASTER_PORT=port)
        return run('d', '--device', 'cpu', out='two.safetensors')

    def both() -> int:
        pid = os.fork()
        if pid == 0:
            os._exit(forked(lambda: peer(1)))
        return max(peer(0), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    assert forked(both) == 0
    assert Path('two.safetensors').read_bytes() == Path('one.safetensors').read_bytes()
    assert Path('two.safetensors.errors.csv').read_text() == Path('one.safetensors.errors.csv').read_text()
    assert not Path('two.safetensors.parts').exists()


def test_published_model_in_a_process_of_its_own(saved, run, tmp_path):
    assert run('d') == 0
    with Hub(tmp_path / 'hub') as hub:
        publish(hub, 'my-lab/embeds', saved)
        done = subprocess.run(
            [sys.executable, '-m', 'fdnm_timm', 'extract', 'd', '--model', 'hf-hub:my-lab/embeds', '--out', 'g.npz',
             '--workers', '1', '--batch-size', '2', '--device', 'cpu'],
            env={**environment(hub.url, tmp_path / 'home'), 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'embed into g.npz: 100%' in done.stderr and 'img/s' in done.stderr
    mine, published = read_features('f.npz'), read_features('g.npz')
    np.testing.assert_array_equal(mine.embeddings, published.embeddings)
    assert mine.metadata['fingerprint'] == published.metadata['fingerprint']
    assert published.metadata['model'] == 'hf-hub:my-lab/embeds'
