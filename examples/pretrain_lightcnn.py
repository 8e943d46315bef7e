"""Train a plain LightCNN-29 to name drawn faces: `python examples/pretrain_lightcnn.py --out lightcnn29.safetensors`.

The published weights were trained on visible faces of many people, and FDNM starts from them. Where they are not at
hand, this makes a stand-in: cross entropy alone, on the visible images of people whom `SyntheticFaces` draws for
another seed. It is timm's `lightcnn29` in a plain PyTorch loop; what comes out is for `model.checkpoint`.
"""
import argparse
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from tqdm import tqdm

import fdnm_timm  # noqa: F401
from fdnm_timm.data import VISIBLE, ImageItems, SyntheticFaces, build_train_transform


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--root', type=Path, default=Path('pretraining_faces'), help='where the faces are drawn')
    parser.add_argument('--num-ids', type=int, default=400)
    parser.add_argument('--img-size', type=int, default=128)
    parser.add_argument('--epochs', type=int, default=8)
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--lr', type=float, default=0.01)
    parser.add_argument('--seed', type=int, default=1, help='of the people and the training')
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    margin = args.img_size // 8
    dataset = SyntheticFaces(
        args.root, num_train=args.num_ids, num_test=2, seed=args.seed, size=args.img_size + margin, progress=True)
    items = ImageItems(
        [record for record in dataset.train if dataset.modality(record[0]) == VISIBLE], dataset,
        build_train_transform(
            args.img_size, args.img_size, pad=0, erasing=0, margin=margin, channels=1, mean=(0.,), std=(1.,)))
    loader = torch.utils.data.DataLoader(items, args.batch_size, shuffle=True, drop_last=True)
    model = timm.create_model('lightcnn29', num_classes=args.num_ids, img_size=args.img_size)
    optimizer = torch.optim.SGD(model.parameters(), args.lr, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs * len(loader))
    for epoch in range(args.epochs):
        losses, hits = 0., 0
        for batch in tqdm(loader, desc=f'epoch {epoch + 1}/{args.epochs}', leave=False):
            with torch.autocast('cpu', torch.bfloat16):
                logits = model(batch['img'])
            loss = torch.nn.functional.cross_entropy(logits.float(), batch['pid'])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses += loss.item()
            hits += int((logits.argmax(dim=1) == batch['pid']).sum())
        print(f'epoch {epoch + 1}: loss {losses / len(loader):.3f}, '
              f'accuracy {hits / len(loader) / args.batch_size:.3f}', flush=True)
    save_file(model.state_dict(), args.out)
    print(f'The weights are in "{args.out}".')


if __name__ == '__main__':
    main()
