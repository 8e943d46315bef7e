"""A run's folder: made, trained into, continued, and known to be whole."""
from pathlib import Path
from typing import Any, Dict, Optional, Union

import torch

from .config import Config, DataConfig
from .data import CrossModalityDataset
from .distributed import Processes
from .engine import FDNMEngine, build_engine
from .hub import save_pretrained
from .plots import plot_training, save_figure, save_ranked

__all__ = ['config_of', 'finish_run', 'is_finished', 'new_run_folder', 'train_run']

_LAST_WRITTEN = Path('hub') / 'config.json'


def new_run_folder(config: Config, given: Optional[Path]) -> Path:
    """The run's folder; raises FileExistsError rather than write over another run."""
    folder = given or Path('runs') / f'{config.data.dataset}-{config.model.name}-seed{config.train.seed}'
    if (folder / 'config.yaml').exists():
        raise FileExistsError(
            f'"{folder}" holds a run already. Continue it with `fdnm train --resume {folder}`, give another '
            f'--save-dir, or remove that folder.')
    return folder


def config_of(folder: Path) -> Path:
    """The configuration's file in a run's folder; raises FileNotFoundError where there is no run."""
    file = folder / 'config.yaml'
    if not file.exists():
        raise FileNotFoundError(
            f'"{folder}" is no run: it has no config.yaml. Give a folder that `fdnm train` left.')
    return file


def is_finished(folder: Path) -> bool:
    """Whether a run came to its end and its folder is whole."""
    return all((folder / name).exists() for name in ('results.json', 'outcomes.npz', _LAST_WRITTEN))


def train_run(
        config: Config,
        folder: Path,
        progress: bool = True,
        resume: bool = False,
        dataset: Union[str, CrossModalityDataset, None] = None,
        processes: Optional[Processes] = None,
) -> FDNMEngine:
    """Train, evaluate and leave a whole run in `folder`; with `resume`, from where it ended before.

    With several `processes` each calls it, and the main one writes.
    """
    engine = build_engine(config, dataset, progress=progress, processes=processes)
    engine.run(
        save_dir=str(folder), max_epoch=config.train.epochs, eval_freq=config.train.eval_freq, resume=resume)
    if engine.processes.is_main:
        finish_run(engine, config, folder)
    return engine


def _preprocessing(engine: FDNMEngine, config: DataConfig) -> Dict[str, Any]:
    """What timm needs to prepare images as the evaluation does."""
    return dict(
        input_size=(engine.model.in_chans, config.height, config.width),
        crop_pct=config.height / (config.height + config.margin))


def finish_run(engine: FDNMEngine, config: Config, folder: Path) -> None:
    """Write the pictures and the trained model in Hub format."""
    if engine.history:
        save_figure(folder / 'training.png', plot_training(engine.history))
    for name, settings in engine.ranked.items():
        for setting, lists in settings.items():
            save_ranked(
                folder / f'ranked_{setting}.png', lists, engine.datamanager.datasets[name], title=f'{name}, {setting}')
    engine.model.set_metric_training(False)
    engine.model.to(memory_format=torch.contiguous_format)  # safetensors takes no other
    save_pretrained(
        engine.model, folder / _LAST_WRITTEN.parent,
        data_config=_preprocessing(engine, config.data),
        details={'dataset': config.data.dataset, 'results': engine.results})
