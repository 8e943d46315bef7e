"""Embed two images and compare them: `python examples/embed_and_compare.py VISIBLE.jpg INFRARED.jpg --model runs/mine`.

The model embeds an image of either kind of camera; the cosine of two embeddings says how much alike the people look to
it, 1 at most. What cosine means "the same person" differs from model to model: it is chosen on people who are known.

Without arguments it draws a visible image of a person, and infrared images of the same and of another, and embeds them
with an untrained model. Then only the way is real: the numbers mean nothing before the model is trained.
"""
import argparse

import torch

from fdnm_timm.data import read_image
from fdnm_timm.data.synthetic import draw_person
from fdnm_timm.extraction import load_embedder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('visible', nargs='?', help='an image of a visible camera')
    parser.add_argument('infrared', nargs='*', help='images of an infrared camera')
    parser.add_argument('--model', metavar='SOURCE', help='local-dir:FOLDER, hf-hub:ORG/NAME or the folder of a run')
    args = parser.parse_args()
    if args.visible:
        visible, infrared = read_image(args.visible), {path: read_image(path) for path in args.infrared}
    else:
        visible = draw_person(pid=0, camid=1, index=0)
        infrared = {'the same': draw_person(0, camid=3, index=0), 'another': draw_person(1, camid=3, index=0)}
    if not infrared:
        parser.error('give at least one infrared image to compare with')
    embedder = load_embedder(args.model or 'fdnm_resnet18', allow_untrained=args.model is None)
    query = embedder.embed(embedder.transform(visible).unsqueeze(0), 'visible')[0]
    gallery = embedder.embed(torch.stack([embedder.transform(image) for image in infrared.values()]), 'infrared')
    cosines = gallery @ query / (query @ query)  # all embeddings of a model have one length
    for name, cosine in zip(infrared, cosines):
        print(f'{cosine:.4f}  {name}')


if __name__ == '__main__':
    main()
