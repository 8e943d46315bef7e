"""The examples run as they stand."""
import os
import subprocess
import sys
from pathlib import Path

import timm
import torch

import fdnm_timm  # noqa: F401

EXAMPLES = Path(__file__).parents[1] / 'examples'


def run_example(name: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *args], capture_output=True, text=True, timeout=300,
        env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pretraining_makes_weights_that_fdnm_starts_from(tmp_path):
    out = tmp_path / 'lightcnn29.safetensors'
    printed = run_example(
        'pretrain_lightcnn.py', '--out', str(out), '--root', str(tmp_path / 'faces'), '--num-ids', '3', '--img-size',
        '32', '--epochs', '1', '--batch-size', '6')
    assert 'epoch 1: loss' in printed and str(out) in printed
    overlay = dict(pretrained_cfg_overlay=dict(file=str(out)))
    plain = timm.create_model('lightcnn29', pretrained=True, num_classes=3, img_size=32, **overlay).eval()
    model = timm.create_model('fdnm_lightcnn29', pretrained=True, num_classes=9, img_size=32, **overlay)
    torch.testing.assert_close(model.head.fc.weight, plain.head.fc.weight)
    torch.testing.assert_close(model.stem.infrared.filter.weight, plain.stem.filter.weight)
