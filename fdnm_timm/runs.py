"""A run's folder: made, trained into, continued, and known to be whole."""
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import torch

from .allocator import keep_freed_memory
from .config import Config, DataConfig, load_config
from .data import CrossModalityDataset, create_dataset
from .distributed import Processes
from .engine import FDNMEngine, build_engine, collect_all_samples
from .hub import save_pretrained
from .plots import plot_ranked, plot_training, save_figure
from .saved import RankedQuery, load_image, ranked_queries, write_ranked, write_samples

__all__ = [
    'config_of', 'dataset_of', 'finish_run', 'is_finished', 'new_run_folder', 'ranked_of', 'train_run',
]

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


def dataset_of(folder: Path, root: Union[str, Path, None] = None) -> CrossModalityDataset:
    """The data set of a run, which loads the images that its pictures show.

    Args:
        folder: The run's folder.
        root: Where the data set lies now; None: where it lay then.

    Raises:
        FileNotFoundError: The folder is no run, or the data set is not there.
        DatasetError: It is malformed.
    """
    data = load_config(config_of(folder)).data
    place = Path(root or data.root)
    if not place.is_dir():  # a drawn set would be drawn again
        raise FileNotFoundError(
            f'The run "{folder}" shows images of {data.dataset}, but there is no folder "{place}". Give the place of '
            f'the data set with --root.')
    return create_dataset(data.dataset, place, **data.options)


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
    if not engine.use_gpu:
        keep_freed_memory()
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


def ranked_of(engine: FDNMEngine) -> Dict[str, Dict[str, List[RankedQuery]]]:
    """Some queries of every [target][setting] that the engine evaluated, with what was found; for `write_ranked`."""
    return {
        name: {setting: ranked_queries(lists, engine.datamanager.datasets[name]) for setting, lists in settings.items()}
        for name, settings in engine.ranked.items()}


def _write_ranked(engine: FDNMEngine, folder: Path) -> None:
    ranked = ranked_of(engine)
    for name, settings in ranked.items():
        load = partial(load_image, engine.datamanager.datasets[name])
        for setting, queries in settings.items():
            figure = plot_ranked(queries, load, title=f'{name}, {setting}')
            save_figure(folder / f'ranked_{setting}.png', figure, dpi=200)
    if ranked:
        write_ranked(folder / 'ranked.json', ranked)


def finish_run(engine: FDNMEngine, config: Config, folder: Path) -> None:
    """Write the pictures, what further ones are made of, and at last the trained model in Hub format."""
    if engine.history:
        save_figure(folder / 'training.png', plot_training(engine.history))
    _write_ranked(engine, folder)
    write_samples(folder / 'samples.npz', collect_all_samples(engine))
    engine.model.set_metric_training(False)
    engine.model.to(memory_format=torch.contiguous_format)  # safetensors takes no other
    save_pretrained(
        engine.model, folder / _LAST_WRITTEN.parent,
        data_config=_preprocessing(engine, config.data),
        details={'dataset': config.data.dataset, 'results': engine.results})
