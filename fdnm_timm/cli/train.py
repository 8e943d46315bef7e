"""`fdnm train`: train and evaluate a model, and leave a run's folder."""
import argparse
from pathlib import Path

from ..config import Config
from ..distributed import joined
from ..runs import config_of, is_finished, new_run_folder, train_run
from ..studies import ROWS
from ._options import add_config_options, read_config

__all__ = ['add_parser', 'run']


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'train', help='train and evaluate a model',
        description='Train and evaluate a model; its folder gets the config, checkpoints, results and pictures. A run '
                    'that ended early, however that came, goes on with --resume. Started by torchrun '
                    '(torchrun --nproc-per-node N -m fdnm_timm.cli train ...), several processes share each batch.')
    add_config_options(parser)
    parser.add_argument('--row', choices=sorted(ROWS), metavar='ROW',
                        help=f"settings of a row of the paper's Tables 3 to 5 or of a control: {', '.join(ROWS)}")
    parser.add_argument('--save-dir', type=Path, help='folder of the run; by default runs/DATASET-MODEL-seedSEED')
    parser.add_argument('--resume', type=Path, metavar='RUN_DIR',
                        help='continue this run from its last whole epoch, with its own config')
    parser.add_argument('--quiet', action='store_true', help='no progress bars')
    parser.set_defaults(run=run)


def _config_to_resume(args: argparse.Namespace) -> Config:
    given = [f'--{name.replace("_", "-")}' for name in ('dataset', 'config', 'settings', 'seed', 'row', 'save_dir')
             if getattr(args, name)]
    if given:
        raise ValueError(
            f'--resume takes the run\'s own config, so it does not go with {", ".join(given)}. --root may be given, '
            f'where the data have moved.')
    args.config = config_of(args.resume)
    if is_finished(args.resume):
        raise FileExistsError(f'The run in "{args.resume}" is finished: there is nothing to continue.')
    return read_config(args)


def run(args: argparse.Namespace) -> int:
    if args.resume is not None:
        config, folder = _config_to_resume(args), args.resume
    else:
        args.settings = [*(ROWS[args.row].settings if args.row else ()), *args.settings]
        config = read_config(args)
        folder = new_run_folder(config, args.save_dir)
    with joined(config.train.use_gpu, config.train.timeout) as processes:
        try:
            train_run(
                config, folder, progress=not args.quiet, resume=args.resume is not None, processes=processes)
        except KeyboardInterrupt:
            if processes.is_main and (folder / 'config.yaml').exists():
                print(f'Interrupted. Continue with: fdnm train --resume {folder}')
            raise
        if processes.is_main:
            print(f'The run is in "{folder}".')
    return 0
