"""`fdnm publish`: a finished run's model and card to the Hugging Face Hub."""
import argparse
import sys
from pathlib import Path

from huggingface_hub import ModelCard

from ..files import write_text
from ..hub.card import model_card
from ..hub.card_sections import loading_snippet
from ..hub.finished import FinishedRun, read_finished_run
from ..hub.folder import CARD, CONFIG, WEIGHTS
from ..hub.push import check_names, push_to_hub
from ..hub.release import MANIFEST, add_release, check_can_be_released
from ..runs import config_of, is_finished

__all__ = ['add_parser', 'run']


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'publish', help="put a finished run's model and its card on the Hugging Face Hub",
        description="Put a finished run's model on the Hugging Face Hub, with a card written from the run's own "
                    'results. The token is that of `hf auth login` or of the variable HF_TOKEN.')
    parser.add_argument('run_dir', type=Path, help='folder that `fdnm train` left')
    parser.add_argument('--repo', required=True, metavar='ORG/NAME', help='repository; made where it does not exist')
    parser.add_argument('--private', action='store_true', help='make a new repository private (default: public)')
    parser.add_argument('--tag', metavar='TAG', help='also name the commit, such as v1; "hf-hub:ORG/NAME@TAG" loads it')
    parser.add_argument('--message', metavar='TEXT', help='of the commit (default: names the model and its data set)')
    parser.add_argument('--release', metavar='TAG',
                        help='also make it a release, MODEL.TAG; only in a checkout of the project')
    parser.add_argument('--dry-run', action='store_true', help='upload nothing: print the card, or write it to --out')
    parser.add_argument('--out', type=Path, metavar='FOLDER', help='with --dry-run, write the card to FOLDER/README.md')
    parser.set_defaults(run=run)


def _check_arguments(args: argparse.Namespace) -> None:
    check_names(args.repo, args.tag)
    if args.out is not None and not args.dry_run:
        raise ValueError('--out is where --dry-run writes the card: give both, or neither.')
    if args.release and args.private:
        raise ValueError('--release is for everybody to load, so it does not go with --private: leave one out.')


def _read(args: argparse.Namespace) -> FinishedRun:
    config_of(args.run_dir)
    if not is_finished(args.run_dir):
        raise FileNotFoundError(
            f'The run in "{args.run_dir}" is not finished. Finish it with `fdnm train --resume {args.run_dir}`.')
    finished = read_finished_run(args.run_dir)
    if args.release:
        check_can_be_released(finished, args.release, args.repo)
    return finished


def _plan(args: argparse.Namespace, finished: FinishedRun, card: str) -> str:
    folder = finished.weights.parent
    sizes = {**{name: (folder / name).stat().st_size for name in (WEIGHTS, CONFIG)}, CARD: len(card.encode())}
    visibility = 'private' if args.private else 'public, unless its organisation makes new ones private'
    return '\n'.join([
        f'{args.repo}{f", tag {args.tag}" if args.tag else ""}; if the repository is new, it is {visibility}:',
        *(f'  {name:<{max(map(len, sizes))}}  {size:>13,} bytes' for name, size in sizes.items())])


def _show(args: argparse.Namespace, plan: str, card: str) -> None:
    if args.out is None:
        print(f'{plan}\nNothing is uploaded.', file=sys.stderr)
        print(card)
    else:
        write_text(args.out / CARD, card)
        print(f'{plan}\nNothing is uploaded; the card is in "{args.out / CARD}".')


def _publish(args: argparse.Namespace, finished: FinishedRun, card: str) -> None:
    name, dataset = finished.hub['architecture'], finished.config['data']['dataset']
    pushed = push_to_hub(
        finished.weights.parent, args.repo, private=args.private or None, tag=args.tag, card=card,
        commit_message=args.message or f'{name}, trained on {dataset}')
    print(f'Published: {pushed.url}\nCommit: {pushed.commit}{f", tag {pushed.tag}" if pushed.tag else ""}\n')
    if args.release:
        folder = add_release(finished, args.release, args.repo, pushed.commit, card, ModelCard(card).data['license'])
        print(f'Release {name}.{args.release}: commit "{folder}" and the manifest, "{MANIFEST}".\n')
    source = f'hf-hub:{args.repo}{f"@{args.tag}" if args.tag else ""}'
    print(loading_snippet(source, finished.hub['pretrained_cfg']['input_size'][0]))


def run(args: argparse.Namespace) -> int:
    _check_arguments(args)
    finished = _read(args)
    card = model_card(args.run_dir, args.repo)
    plan = _plan(args, finished, card)
    if args.dry_run:
        _show(args, plan, card)
    else:
        print(plan)
        _publish(args, finished, card)
    return 0
