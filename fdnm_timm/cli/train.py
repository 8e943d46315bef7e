"""`fdnm train`: train and evaluate a model, and leave a run's folder."""
import argparse
from pathlib import Path

from ..config import Config
from ..engine import FDNMEngine, build_engine
from ..hub import save_pretrained
from ..plots import plot_training, save_figure, save_ranked
from ._options import add_config_options, read_config

__all__ = ['add_parser', 'finish_run', 'run']


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'train', help='train and evaluate a model',
        description='Train and evaluate a model; its folder gets the config, checkpoints, results and pictures.')
    add_config_options(parser)
    parser.add_argument('--save-dir', type=Path, help='folder of the run; by default runs/DATASET-MODEL-seedSEED')
    parser.add_argument('--quiet', action='store_true', help='no progress bars')
    parser.set_defaults(run=run)


def new_run_folder(config: Config, given: Path | None) -> Path:
    """The run's folder; raises FileExistsError rather than write over another run."""
    folder = given or Path('runs') / f'{config.data.dataset}-{config.model.name}-seed{config.train.seed}'
    if (folder / 'config.yaml').exists():
        raise FileExistsError(f'"{folder}" holds a run already. Give another --save-dir, or remove that folder.')
    return folder


def finish_run(engine: FDNMEngine, config: Config, folder: Path) -> None:
    """Write the trained model in Hub format and the pictures."""
    engine.model.set_metric_training(False)
    save_pretrained(
        engine.model, folder / 'hub', data_config=dict(input_size=(3, config.data.height, config.data.width)),
        details={'dataset': config.data.dataset, 'results': engine.results})
    if engine.history:
        save_figure(folder / 'training.png', plot_training(engine.history))
    for name, settings in engine.ranked.items():
        for setting, lists in settings.items():
            save_ranked(
                folder / f'ranked_{setting}.png', lists, engine.datamanager.datasets[name], title=f'{name}, {setting}')


def run(args: argparse.Namespace) -> int:
    config = read_config(args)
    folder = new_run_folder(config, args.save_dir)
    engine = build_engine(config, progress=not args.quiet)
    engine.run(save_dir=str(folder), max_epoch=config.train.epochs, eval_freq=config.train.eval_freq)
    finish_run(engine, config, folder)
    print(f'The run is in "{folder}".')
    return 0
