"""`fdnm export`: a trained model's embedding as an ONNX, TorchScript or pt2 file."""
import argparse
import time
from pathlib import Path
from typing import Any, Dict

import numpy as np
import torch

from ..export import CHOICES, FORMATS, export_model, open_exported
from ..extraction import list_images, load_embedder

__all__ = ['add_parser', 'run']


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'export', help='write a trained model to a file that runs without this package',
        description="Write a trained model's embedding to a file that runs without this package, and hold the file "
                    'against the model, on random and on real images, before it takes its name. Beside it lies a JSON '
                    'with what is to be known of it. docs/export.md shows how to run it.')
    parser.add_argument('--model', required=True, metavar='SOURCE',
                        help='local-dir:FOLDER, hf-hub:ORG/NAME, or the folder of a finished run')
    parser.add_argument('--modality', required=True, choices=CHOICES,
                        help='of the images; "input": the file asks for it, image by image')
    parser.add_argument('--out', required=True, type=Path, metavar='FILE', help='the file, and FILE.json')
    parser.add_argument('--format', choices=FORMATS, help="default: told by FILE's suffix, " + ', '.join(
        f'{value.suffix} {name}' for name, value in FORMATS.items()))
    parser.add_argument('--opset', type=int, metavar='N', help="of ONNX's operators (default: the exporter's choice)")
    parser.add_argument('--height', type=int, metavar='N', help="of the images (default: the training's)")
    parser.add_argument('--width', type=int, metavar='N', help="of the images (default: the training's)")
    parser.add_argument('--images', metavar='DIR', help='compare on images of this folder, glob or list file (default: '
                                                        'on some that are drawn)')
    parser.add_argument('--time', action='store_true', help='also measure images a second, of the model and the file')
    parser.add_argument('--allow-untrained', action='store_true',
                        help='let SOURCE be the name of a model, with weights that are random')
    parser.set_defaults(run=run)


def _speed(function: Any, images: Any, *others: Any) -> float:
    """Images a second: the best of a few calls, since whatever else runs only takes time away."""
    taken = []
    function(images, *others)
    for _ in range(3):
        begin = time.perf_counter()
        function(images, *others)
        taken.append(time.perf_counter() - begin)
    return len(images) / min(taken)


def _print_speeds(embedder: Any, path: Path, facts: Dict[str, Any]) -> None:
    execute, _ = open_exported(path)
    shape = facts['inputs']['images']['shape'][1:]
    for batch in (1, 8):
        images = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))
        modality = torch.arange(batch) % 2 if facts['modality'] == 'input' else facts['modality']
        others = (np.arange(batch) % 2,) if facts['modality'] == 'input' else ()
        ours, files = _speed(embedder.embed, images, modality), _speed(execute, images.numpy(), *others)
        print(f'Images/s in batches of {batch}, {torch.get_num_threads()} threads: {ours:.2f} torch, {files:.2f} file.')


def run(args: argparse.Namespace) -> int:
    embedder = load_embedder(args.model, allow_untrained=args.allow_untrained)
    exported = export_model(
        embedder, args.out, args.modality, format=args.format, height=args.height, width=args.width, opset=args.opset,
        images=None if args.images is None else list_images(args.images))
    differences = ', '.join(f'{value:.1e} on {name} images' for name, value in exported.parity.items())
    size = exported.path.stat().st_size
    print(f'"{exported.path}", {size:,} bytes; facts in "{exported.facts_path}".\n'
          f'Largest difference from the model: {differences}.')
    if args.time:
        _print_speeds(embedder, exported.path, exported.facts)
    return 0
