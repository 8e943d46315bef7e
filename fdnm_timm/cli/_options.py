"""Options that several subcommands have."""
import argparse
from pathlib import Path
from typing import Any, Dict

from ..config import Config, load_config, recipe_path

__all__ = ['add_config_options', 'read_config']


def add_config_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--dataset', help='name of the data set, such as roadscene or sysu_mm01')
    parser.add_argument('--root', help="the data set's folder or its parent")
    parser.add_argument('--config', type=Path, help="YAML file; by default the data set's recipe, where there is one")
    parser.add_argument('--set', dest='settings', metavar='KEY=VALUE', action='append', default=[],
                        help='change one key, such as optim.lr=0.05; may be given again')
    parser.add_argument('--seed', type=int, help='same as --set train.seed=SEED')


def read_config(args: argparse.Namespace) -> Config:
    """The recipe or file, then --dataset, --root and --seed, then every --set."""
    given: Dict[str, Dict[str, Any]] = {'data': {}, 'train': {}}
    for section, key, value in (
            ('data', 'dataset', args.dataset), ('data', 'root', args.root), ('train', 'seed', args.seed)):
        if value is not None:
            given[section][key] = value
    path = args.config or (recipe_path(args.dataset) if args.dataset else None)
    return load_config(path, args.settings, over=given)
