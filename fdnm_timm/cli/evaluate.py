"""`fdnm evaluate`: evaluate a run's model or one in Hub format."""
import argparse
from pathlib import Path
from typing import Any, Mapping

import timm
import torch

from ..config import Config, load_config
from ..distributed import Processes, joined
from ..engine import BEST, LAST, build_engine, collect_all_samples, read_checkpoint
from ..files import write_json
from ..runs import config_of, ranked_of
from ..saved import write_outcomes, write_ranked, write_samples
from ._options import add_config_options, read_config

__all__ = ['add_parser', 'run']

_INITIAL = 'initial'


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'evaluate', help='evaluate a trained model',
        description='Evaluate a trained model by its data set\'s protocol. Started by torchrun, several processes '
                    'share the images.')
    parser.add_argument('run_dir', type=Path, help='folder that `fdnm train` left')
    add_config_options(parser)
    parser.add_argument(
        '--model', help='evaluate this in place of the run\'s model: "local-dir:FOLDER" or "hf-hub:ORG/NAME"')
    parser.add_argument(
        '--checkpoint', metavar='last|best|initial|FILE',
        help="evaluate this checkpoint in place of the run's final model; initial is none: the model as the run's seed "
             "made it, untrained but for the pretrained backbone that it began with")
    parser.add_argument('--out', type=Path, help='also write the results to this JSON file')
    parser.add_argument('--outcomes', type=Path, help="also write every query's outcome to this .npz file")
    parser.add_argument(
        '--ranked', type=Path, help="also write some queries' first places to this .json file, for `fdnm plot ranked`")
    parser.add_argument(
        '--samples', type=Path,
        help="also write distances between some test images' features to this .npz file, for `fdnm plot tsne`")
    parser.add_argument('--rerank', action='store_true', help='k-reciprocal re-ranking; the result says so')
    parser.add_argument('--flip', action='store_true', help='embed mirrored images too; the result says so')
    parser.add_argument('--quiet', action='store_true', help='no progress bars')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    saved = config_of(args.run_dir)
    args.config = args.config or saved
    config = read_config(args)
    if args.model and args.checkpoint:
        raise ValueError('Give either --model or --checkpoint.')
    if args.checkpoint != _INITIAL:  # no backbone needs to be fetched only to be written over
        config = load_config(
            base=config.model_dump(mode='json'), settings=['model.pretrained=false', 'model.checkpoint=null'])
    with joined(config.train.use_gpu, config.train.timeout) as processes:
        _evaluate(args, config, processes)
    return 0


def _evaluate(args: argparse.Namespace, config: Config, processes: Processes) -> None:
    engine = build_engine(config, progress=not args.quiet, processes=processes, training=False)
    source = _load(args, engine.model)
    engine.test(rerank=args.rerank, flip=args.flip)
    if not processes.is_main:
        return
    if args.out is not None:
        write_json(args.out, {'model': source, 'results': engine.results})
    if args.outcomes is not None:
        write_outcomes(args.outcomes, engine.outcomes)
    if args.ranked is not None:
        write_ranked(args.ranked, ranked_of(engine))
    if args.samples is not None:
        write_samples(args.samples, collect_all_samples(engine))


def _load(args: argparse.Namespace, model: torch.nn.Module) -> str:
    """Give the model the weights that were asked for; returns where they come from."""
    if args.checkpoint == _INITIAL:
        return _INITIAL
    if args.checkpoint:
        source = str(_checkpoint_path(args.run_dir, args.checkpoint))
        state = read_checkpoint(Path(source))['state_dict']
    else:
        source = args.model or f'local-dir:{args.run_dir / "hub"}'
        state = timm.create_model(source, pretrained=True).state_dict()
    _copy_weights(state, model, source)
    return source


def _checkpoint_path(run_dir: Path, given: str) -> Path:
    return run_dir / 'model' / {'last': LAST, 'best': BEST}[given] if given in ('last', 'best') else Path(given)


def _copy_weights(trained: Mapping[str, Any], model: torch.nn.Module, source: str) -> None:
    """Into the engine's model; the classifier, which evaluation does not use, may be of other identities."""
    state = {k: v for k, v in trained.items() if not k.startswith('head.classifier.')}
    own = {k: v for k, v in model.state_dict().items() if not k.startswith('head.classifier.')}
    differing = sorted(
        k for k in own.keys() | state.keys() if k not in own or k not in state or own[k].shape != state[k].shape)
    if differing:
        raise ValueError(
            f'The model "{source}" differs from the one that the run\'s config makes, in {differing[:5]}. '
            f'Give the config of that model.')
    model.load_state_dict(state, strict=False)
