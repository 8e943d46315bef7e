"""`fdnm evaluate`: evaluate a run's model or one in Hub format."""
import argparse
from pathlib import Path

import timm
import torch

from ..config import load_config
from ..engine import build_engine
from ..files import write_json
from ._options import add_config_options, read_config

__all__ = ['add_parser', 'run']


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'evaluate', help='evaluate a trained model',
        description='Evaluate a trained model by its data set\'s protocol.')
    parser.add_argument('run_dir', type=Path, help='folder that `fdnm train` left')
    add_config_options(parser)
    parser.add_argument(
        '--model', help='evaluate this in place of the run\'s model: "local-dir:FOLDER" or "hf-hub:ORG/NAME"')
    parser.add_argument('--out', type=Path, help='also write the results to this JSON file')
    parser.add_argument('--rerank', action='store_true', help='k-reciprocal re-ranking; the result says so')
    parser.add_argument('--quiet', action='store_true', help='no progress bars')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    saved = args.run_dir / 'config.yaml'
    if not saved.exists():
        raise FileNotFoundError(
            f'"{args.run_dir}" is no run: it has no config.yaml. Give a folder that `fdnm train` left.')
    args.config = args.config or saved
    config = read_config(args)
    config = load_config(
        base=config.model_dump(mode='json'), settings=['model.pretrained=false', 'model.checkpoint=null'])
    engine = build_engine(config, progress=not args.quiet)
    source = args.model or f'local-dir:{args.run_dir / "hub"}'
    trained = timm.create_model(source, pretrained=True)
    _copy_weights(trained, engine.model, source)
    engine.test(rerank=args.rerank)
    if args.out is not None:
        write_json(args.out, {'model': source, 'results': engine.results})
    return 0


def _copy_weights(trained: torch.nn.Module, model: torch.nn.Module, source: str) -> None:
    """Into the engine's model; the classifier, which evaluation does not use, may be of other identities."""
    state = {k: v for k, v in trained.state_dict().items() if not k.startswith('head.classifier.')}
    own = {k: v for k, v in model.state_dict().items() if not k.startswith('head.classifier.')}
    differing = sorted(
        k for k in own.keys() | state.keys() if k not in own or k not in state or own[k].shape != state[k].shape)
    if differing:
        raise ValueError(
            f'The model "{source}" differs from the one that the run\'s config makes, in {differing[:5]}. '
            f'Give the config of that model.')
    model.load_state_dict(state, strict=False)
