"""torchreid from either of its layouts: `torchreid.reid.*` (0.2.5, package index) or `torchreid.*` (1.4, upstream)."""
import warnings
from importlib import import_module
from types import ModuleType

__all__ = ['DataManager', 'Engine', 'ImageDataset', 're_ranking', 'register_image_dataset']


def _find(name: str) -> ModuleType:
    for package in ('torchreid.reid', 'torchreid'):
        try:
            return import_module(f'{package}.{name}')
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith('torchreid'):
                raise ImportError(
                    f'torchreid needs "{error.name}", which it does not declare: '
                    f'pip install "fdnm_timm[train]".') from error
    raise ImportError('torchreid is not installed: pip install "fdnm_timm[train]".')


with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # that its Cython ranking was not built, which is not used here
    _engine = _find('engine')
    _data = _find('data')
    _manager = _find('data.datamanager')
    _utils = _find('utils')

Engine = _engine.Engine
DataManager = _manager.DataManager
ImageDataset = _data.ImageDataset
register_image_dataset = _data.register_image_dataset
re_ranking = _utils.re_ranking
