"""`fdnm extract`: embeddings of images by a trained model."""
import argparse
import sys
import time
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import torch

from ..distributed import Processes, joined
from ..extraction._names import NUMBERS
from ..extraction.embedder import PRECISIONS, load_embedder
from ..extraction.extract import ON_ERROR, extract, parts_folder
from ..extraction.features import SUFFIXES, check_suffix
from ..extraction.images import Listed, list_entries
from ..extraction.loading import default_workers
from ..extraction.modality import BY_FOLDER, LAYOUTS, modalities_of

__all__ = ['add_parser', 'run']

_PATIENCE = 86400.  # seconds that a process waits for the others' last shards


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'extract', help='embeddings of images by a trained model',
        description='Embed images into one file. A run that was interrupted goes on where it was when the same command '
                    'is given again. Started by torchrun, several processes share the images.')
    parser.add_argument(
        'images', nargs='+', metavar='IMAGES',
        help='folders with their subfolders, globs in quotes, images, or list files: a path a line, relative to the '
             'list, and behind a tab its modality if you like')
    parser.add_argument(
        '--model', required=True, metavar='SOURCE',
        help='folder of a finished run, "local-dir:FOLDER" or "hf-hub:ORG/NAME"')
    parser.add_argument('--out', required=True, type=Path, metavar='FILE', help=f'ends in {", ".join(SUFFIXES)}')
    parser.add_argument(
        '--modality', choices=[*NUMBERS, BY_FOLDER], default=BY_FOLDER,
        help='of all images that a list gives none (default: their folders\' names tell it)')
    parser.add_argument(
        '--modality-default', choices=list(NUMBERS),
        help='of images whose folders do not tell it, in place of an error')
    parser.add_argument(
        '--layout', choices=[name for name in LAYOUTS if name], help="tell it by this data set's camera folders")
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument(
        '--workers', type=int, default=default_workers(),
        help='processes that decode (default: the CPU cores, at most 4)')
    parser.add_argument('--device', help='"cpu" or "cuda" (default: a GPU where there is one)')
    parser.add_argument('--precision', choices=list(PRECISIONS), default='fp32')
    parser.add_argument('--flip', action='store_true', help="the mean of the image's and its mirror image's embedding")
    parser.add_argument(
        '--on-error', choices=ON_ERROR, default='skip', help='about images that cannot be read (default: skip)')
    parser.add_argument(
        '--errors', type=Path, metavar='FILE', help='CSV file that lists them (default: OUT.errors.csv)')
    parser.add_argument(
        '--shard-images', type=int, metavar='N',
        help='images of an intermediate file, which is what an interruption can lose (default: 32 MB of embeddings)')
    parser.add_argument('--quiet', action='store_true', help='no progress bar')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_suffix(args.out)
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        with joined(device != 'cpu', _PATIENCE) as processes:
            _extract(args, device, processes)
    except KeyboardInterrupt:
        if parts_folder(args.out).exists():
            print(f'\nWhat was embedded so far is in "{parts_folder(args.out)}": the same command goes on from there.',
                  file=sys.stderr)
        raise
    return 0


def _extract(args: argparse.Namespace, device: str, processes: Processes) -> None:
    paths, modality = processes.from_main(lambda: _images(args))
    with processes.main_first():  # a model that is fetched
        embedder = load_embedder(args.model, device, precision=args.precision, flip=args.flip)
    start = time.monotonic()
    done = extract(
        paths, modality, embedder, args.out, batch_size=args.batch_size, workers=args.workers, on_error=args.on_error,
        errors=args.errors, shard_images=args.shard_images, progress=not args.quiet, processes=processes)
    if not processes.is_main:
        return
    print(f'{done.images:,} of {len(paths):,} images are embedded in "{done.out}", {done.dims:,} values each '
          f'({time.monotonic() - start:.0f} s).')
    if done.skipped:
        print(f'Skipped, since they cannot be read: {done.skipped:,}, which "{done.errors}" lists.')


def _images(args: argparse.Namespace) -> Tuple[List[str], np.ndarray]:
    entries: Dict[str, Listed] = {}
    for source in args.images:
        for entry in list_entries(source):
            known = entries.setdefault(entry.path, entry)
            if known.modality != entry.modality:
                raise ValueError(f'"{entry.path}" is given twice, with different modalities: give it once.')
    default = None if args.modality_default is None else NUMBERS[args.modality_default]
    modality = modalities_of(list(entries.values()), NUMBERS.get(args.modality), args.layout, default)
    return list(entries), modality
