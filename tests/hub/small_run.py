"""A small run, trained once a session and copied by whoever changes it."""
import json
import shutil
from pathlib import Path
from typing import Any, Callable, Dict

import yaml

from fdnm_timm.config import load_config
from fdnm_timm.engine import build_engine
from fdnm_timm.runs import finish_run, is_finished

REPO = 'my-lab/small'


def small_run(tree: Path) -> Path:
    """A finished run on the people of `tests.conftest.sysu_tree`; not to be changed."""
    folder = tree.parent / 'small_run'
    if not is_finished(folder):
        config = load_config(over={
            'model': {'name': 'fdnm_resnet18', 'pretrained': False},
            'data': {
                'dataset': 'synthetic_vi', 'root': str(tree), 'height': 48, 'width': 24, 'num_ids': 4,
                'num_instances': 2, 'workers': 0, 'pad': 2,
                'options': dict(num_train=8, num_val=2, num_test=6, images_per_camera=3, height=48, width=24)},
            'train': {'epochs': 1, 'use_gpu': False, 'seed': 3},
        })
        engine = build_engine(config, progress=False)
        engine.run(save_dir=str(folder), max_epoch=config.train.epochs)
        engine.ranked.clear()  # drawing its pictures takes longer than the training
        finish_run(engine, config, folder)
    return folder


def changed_copy(run: Path, folder: Path, change: Callable[[Dict[str, Any], Dict[str, Any]], None]) -> Path:
    """A copy of a run whose config and results[setting] `change` alters, in all the files that hold them."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns('model', '*.png', 'events*'))
    config = yaml.safe_load((folder / 'config.yaml').read_text())
    results = json.loads((folder / 'results.json').read_text())
    hub = json.loads((folder / 'hub' / 'config.json').read_text())
    (settings,) = results['results'].values()
    change(config, settings)
    dataset = config['data']['dataset']
    results['results'] = hub['fdnm']['results'] = {dataset: settings}
    hub['fdnm']['dataset'] = dataset
    (folder / 'config.yaml').write_text(yaml.safe_dump(config))
    (folder / 'results.json').write_text(json.dumps(results))
    (folder / 'hub' / 'config.json').write_text(json.dumps(hub))
    return folder
