"""Pytest plugin that runs timm's own tests/test_models.py on this package's models, and on no others.

FDNM_CONTRACT_MODELS narrows it further, to the names that match its comma-separated patterns. The ImageNet repositories
which the pretrained tests ask for are written into a cache first, with real keys and shapes and random values, and the
clients are offline, so the unmodified loading code runs.

What timm runs on a list of models runs on every one of ours, the grey ones of a fixed size included, since it reads
channels and size from the model's configuration. `EXCEPTIONS` names what does not, and why; another gap ends the run.
"""
import fnmatch
import os
import tempfile
from typing import Dict, Set

_cache = tempfile.TemporaryDirectory(prefix='fdnm-contract-hub-')
os.environ['HF_HUB_CACHE'] = _cache.name
os.environ['HF_HUB_OFFLINE'] = '1'  # read when huggingface_hub is imported, hence before timm

import pytest  # noqa: E402
import timm  # noqa: E402

_before = set(timm.list_models())
import fdnm_timm  # noqa: E402, F401

from ..hub_cache import write_hub_cache  # noqa: E402

_NO_REPOSITORY = (
    'LightCNN weights are published where no client can fetch them, so that timm lists no pretrained tag; '
    'tests/models load them from files, into one and three channels and as features')
EXCEPTIONS = {  # (test, pattern of models): reason
    ('test_model_load_pretrained', '*lightcnn29*'): _NO_REPOSITORY,
    ('test_model_features_pretrained', '*lightcnn29*'): _NO_REPOSITORY,
}

_patterns = os.environ.get('FDNM_CONTRACT_MODELS', '*').split(',')
_ours = {
    name for name in set(timm.list_models()) - _before
    if any(fnmatch.fnmatch(name, pattern) for pattern in _patterns)
}
_list_models = timm.list_models


def _list_ours(filter='', module='', *args, **kwargs):
    # the file lists the modules that have forward_intermediates() by name; ours have it too, hence no module filter
    return [name for name in _list_models(filter, '', *args, **kwargs) if name.split('.')[0] in _ours]


def _list_ours_pretrained(*args, **kwargs):
    return _list_ours(*args, pretrained=True, include_tags=True, **kwargs)


timm.list_models = _list_ours
timm.list_pretrained = _list_ours_pretrained


def pytest_configure(config: pytest.Config) -> None:
    for marker in ('base', 'forward', 'backward', 'cfg', 'cfg_nonstd', 'torchscript', 'features', 'fxforward',
                   'fxbackward'):
        config.addinivalue_line('markers', f"{marker}: timm's own marker")
    if 'cfg' == config.option.markexpr:
        return  # these tests load nothing
    for name in _ours:
        repo_id = timm.get_pretrained_cfg(name).hf_hub_id
        if repo_id and repo_id.startswith('timm/'):
            backbone = timm.create_model(repo_id.removeprefix('timm/').split('.')[0], pretrained=False)
            write_hub_cache(_cache.name, repo_id, backbone.state_dict())


def pytest_collection_modifyitems(config: pytest.Config, items: list) -> None:
    ours, others = [], []
    ran: Dict[str, Set[str]] = {}
    for item in items:
        name = item.callspec.params.get('model_name', '') if hasattr(item, 'callspec') else ''
        name = str(name).split('.')[0]
        (ours if name in _ours else others).append(item)
        if name in _ours:
            ran.setdefault(item.originalname, set()).add(name)
    config.hook.pytest_deselected(items=others)  # tests that name timm's own models
    items[:] = ours
    for test, models in ran.items():
        known = [pattern for name, pattern in EXCEPTIONS if name == test]
        gaps = [m for m in sorted(_ours - models) if not any(fnmatch.fnmatch(m, pattern) for pattern in known)]
        if gaps:
            raise pytest.UsageError(f'timm does not run {test} on {gaps}, and EXCEPTIONS does not say why.')


def pytest_unconfigure() -> None:
    _cache.cleanup()
