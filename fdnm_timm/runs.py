"""A run's folder: made, trained into, continued, and known to be whole."""
from pathlib import Path
from typing import Optional, Union

from .config import Config
from .data import CrossModalityDataset
from .engine import FDNMEngine, build_engine
from .hub import save_pretrained
from .plots import plot_training, save_figure, save_ranked

__all__ = ['finish_run', 'is_finished', 'new_run_folder', 'train_run']

_LAST_WRITTEN = Path('hub') / 'config.json'


def new_run_folder(config: Config, given: Optional[Path]) -> Path:
    """The run's folder; raises FileExistsError rather than write over another run."""
    folder = given or Path('runs') / f'{config.data.dataset}-{config.model.name}-seed{config.train.seed}'
    if (folder / 'config.yaml').exists():
        raise FileExistsError(
            f'"{folder}" holds a run already. Continue it with `fdnm train --resume {folder}`, give another '
            f'--save-dir, or remove that folder.')
    return folder


def is_finished(folder: Path) -> bool:
    """Whether a run came to its end and its folder is whole."""
    return all((folder / name).exists() for name in ('results.json', 'outcomes.npz', _LAST_WRITTEN))


def train_run(
        config: Config,
        folder: Path,
        progress: bool = True,
        resume: bool = False,
        dataset: Union[str, CrossModalityDataset, None] = None,
) -> FDNMEngine:
    """Train, evaluate and leave a whole run in `folder`; with `resume`, from where it ended before."""
    engine = build_engine(config, dataset, progress=progress)
    engine.run(
        save_dir=str(folder), max_epoch=config.train.epochs, eval_freq=config.train.eval_freq, resume=resume)
    finish_run(engine, config, folder)
    return engine


def finish_run(engine: FDNMEngine, config: Config, folder: Path) -> None:
    """Write the pictures and the trained model in Hub format."""
    if engine.history:
        save_figure(folder / 'training.png', plot_training(engine.history))
    for name, settings in engine.ranked.items():
        for setting, lists in settings.items():
            save_ranked(
                folder / f'ranked_{setting}.png', lists, engine.datamanager.datasets[name], title=f'{name}, {setting}')
    engine.model.set_metric_training(False)
    save_pretrained(
        engine.model, folder / _LAST_WRITTEN.parent,
        data_config=dict(input_size=(3, config.data.height, config.data.width)),
        details={'dataset': config.data.dataset, 'results': engine.results})
