"""`fdnm search`: who is it? Find images in a gallery."""
import argparse
import sys
import tempfile
from pathlib import Path
from typing import Optional

import torch

from ..extraction.loading import default_workers
from ..files import write_json
from ..search import Answers, Index, Threshold, choose_threshold, pids_of_csv, pids_of_folders, search
from ..search.approximate import KINDS
from ..search.folder import is_index
from ..search.picture import save_answers
from ..search.sources import MODALITY_WORDS, FeatureReader, Source

__all__ = ['add_parser', 'run']

_FAR = 0.01


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'search', help='find images of a person in a gallery',
        description='Find the nearest images of a gallery for each query. Images are embedded first; what is searched '
                    'often is better extracted once with `fdnm extract`, or kept as an index with --save. SOURCE is a '
                    'file of features, a folder, a glob in quotes, a list file or an image.')
    parser.add_argument('--queries', metavar='SOURCE', help='what to search for')
    parser.add_argument('--gallery', required=True, metavar='SOURCE|INDEX', help='what to search in')
    parser.add_argument('--top', type=int, default=10, help='images for each query (default 10)')
    parser.add_argument('--model', metavar='MODEL', help='embeds images: folder of a finished run, "local-dir:FOLDER" '
                        'or "hf-hub:ORG/NAME" (default: the one that the gallery\'s features name)')
    for role in ('query', 'gallery', 'validation'):
        parser.add_argument(f'--{role}-modality', choices=MODALITY_WORDS, default=MODALITY_WORDS[-1],
                            help='of images (default: told by their folders\' names)')
    index = parser.add_argument_group('index')
    index.add_argument('--save', type=Path, metavar='INDEX', help='keep the gallery as an index in this new folder')
    index.add_argument('--add', metavar='SOURCE', help='add the images that are not there yet to the index')
    index.add_argument('--index-kind', choices=('auto', *KINDS), default='auto',
                       help='flat is exact; auto saves ivf where a gallery is large (default: auto)')
    index.add_argument('--effort', type=int, metavar='N', help='of ivf and hnsw: more finds more and takes longer')
    unknown = parser.add_argument_group('unknown persons')
    unknown.add_argument('--threshold', type=float, metavar='T', help='cosine below which a query is unknown')
    unknown.add_argument('--far', type=float, help='choose the threshold for this false accept rate of pairs of '
                         f'--validation (default {_FAR})')
    unknown.add_argument('--validation', metavar='SOURCE', help='images of known persons, best not of the training; '
                         'their folder names the person')
    unknown.add_argument('--validation-pids', type=Path, metavar='CSV',
                         help='columns path and pid, in place of folders')
    unknown.add_argument('--store-threshold', action='store_true', help='keep the threshold with the index')
    parser.add_argument('--out', type=Path, metavar='FILE', help='write the results to this JSON file')
    parser.add_argument('--picture', type=Path, metavar='FILE', help='draw results: .png, .pdf or .svg')
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument(
        '--workers', type=int, default=default_workers(),
        help='processes that decode images (default: the CPU cores, at most 4)')
    parser.add_argument('--device', help='"cpu" or "cuda" (default: a GPU where there is one)')
    parser.add_argument('--quiet', action='store_true', help='no progress bar')
    parser.set_defaults(run=run)


def _check(args: argparse.Namespace, on_disk: bool) -> None:
    """Refuse what does not go together, before anything is embedded."""
    chosen = args.validation is not None
    stays = on_disk or args.save is not None
    for wrong, message in (
            (args.queries is None and not (args.save or args.add or args.store_threshold),
             'There is nothing to do: give --queries, or --save, --add or --store-threshold to change an index.'),
            (args.queries is None and (args.out or args.picture),
             '--out and --picture show what was found: give --queries.'),
            (args.threshold is not None and chosen, 'Give either --threshold or --validation.'),
            (not chosen and (args.far is not None or args.validation_pids is not None),
             '--far and --validation-pids choose a threshold on a validation set: give --validation.'),
            (args.save is not None and on_disk, f'"{args.gallery}" is an index already: leave --save out.'),
            (args.add is not None and not on_disk,
             f'--add makes an index larger, but "{args.gallery}" is none: make one with --save.'),
            (args.index_kind != 'auto' and on_disk,
             f'The kind of the index "{args.gallery}" was chosen when it was made: leave --index-kind out.'),
            (args.store_threshold and not (stays and (chosen or args.threshold is not None)),
             '--store-threshold needs a threshold (--threshold or --validation) and an index (--gallery or --save).'),
            (args.picture is not None and args.picture.suffix not in ('.png', '.pdf', '.svg'),
             f'--picture is "{args.picture}", but must end in .png, .pdf or .svg.'),
    ):
        if wrong:
            raise ValueError(message)


def _open_gallery(args: argparse.Namespace, reader: FeatureReader, on_disk: bool) -> Index:
    if on_disk:
        index = Index.open(args.gallery)
        reader.suggest_model(index.metadata)
        if args.add is not None:
            more = reader.read(Source('gallery', args.add, args.gallery_modality))
            added = index.add(more)
            print(f'{added:,} of {len(more.paths):,} images were added to "{args.gallery}", which now holds '
                  f'{len(index):,}.')
        return index
    features = reader.read(Source('gallery', args.gallery, args.gallery_modality))
    if args.save is None:
        # an index of another kind takes longer to build than to search all once
        return Index(features, 'flat' if args.index_kind == 'auto' else args.index_kind)
    index = Index.create(args.save, features, args.index_kind)
    print(f'{len(index):,} images are in the {index.kind} index "{args.save}", {index.num_bytes / 1e6:,.1f} MB.')
    return index


def _threshold(args: argparse.Namespace, reader: FeatureReader, index: Index) -> Optional[Threshold]:
    if args.threshold is not None:
        return Threshold(args.threshold)
    if args.validation is None:
        return None
    features = reader.read(Source('validation', args.validation, args.validation_modality))
    index.check_model('The validation features', features)
    pids = pids_of_folders(features.paths) if args.validation_pids is None else pids_of_csv(
        args.validation_pids, features.paths)
    chosen = choose_threshold(features, pids, _FAR if args.far is None else args.far)
    print(f'Threshold {chosen.value:.4f} at FAR {chosen.far:g}: {100 * (chosen.vr or 0):.1f} % of '
          f'{chosen.num_genuine:,} pairs of one person pass ({chosen.num_impostor:,} pairs of two; {chosen.pairs}).')
    return chosen


def _text(answers: Answers) -> str:
    words = {None: '', True: '  (known)', False: '  (unknown)'}
    return '\n'.join(
        '\n'.join([f'{answer.query}{words[answer.known]}', *(
            f'{place:>5}  {match.similarity:.4f}  {match.path}' for place, match in enumerate(answer.matches, 1))])
        for answer in answers.answers)


def _show(args: argparse.Namespace, answers: Answers) -> None:
    if args.out is None:
        print(_text(answers))
    else:
        write_json(args.out, answers.to_json())
        unknown = sum(answer.known is False for answer in answers.answers)
        print(f'The answers to {len(answers.answers):,} queries are in "{args.out}"'
              f'{"." if answers.threshold is None else f"; {unknown:,} are unknown."}')
    if args.picture is not None:
        print(f'Picture: "{save_answers(args.picture, answers)}".')


def run(args: argparse.Namespace) -> int:
    on_disk = is_index(Path(args.gallery))
    _check(args, on_disk)
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    with tempfile.TemporaryDirectory(prefix='fdnm-search-') as scratch:
        reader = FeatureReader(args.model, Path(scratch), device, args.batch_size, args.workers, not args.quiet)
        index = _open_gallery(args, reader, on_disk)
        threshold = _threshold(args, reader, index)
        if args.store_threshold:
            index.store_threshold(threshold)
        notes = reader.notes
        if args.queries is not None:
            queries = reader.read(Source('query', args.queries, args.query_modality))
            answers = search(queries, index, args.top, threshold, args.effort)
            notes = [*notes, *answers.warnings]
            _show(args, answers)
        for note in notes:
            print(f'Note: {note}', file=sys.stderr)
    return 0
