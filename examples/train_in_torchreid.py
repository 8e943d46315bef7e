"""Train FDNM in torchreid's engine: `python examples/train_in_torchreid.py`.

Draws people, trains a two-stream ResNet-18 on them and evaluates it as SYSU-MM01 is evaluated; some minutes on a CPU.
For a data set of your own, give the data manager its name and root, such as sources='regdb', root='/data/RegDB'.
"""
import argparse

import timm
import torch

import fdnm_timm  # noqa: F401
from fdnm_timm.data import SyntheticVI
from fdnm_timm.engine import CrossModalityDataManager, FDNMEngine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', default='people', help='where the people are drawn')
    parser.add_argument('--out', default='runs/torchreid')
    parser.add_argument('--num-train', type=int, default=80)
    parser.add_argument('--epochs', type=int, default=9)
    parser.add_argument('--height', type=int, default=96)
    args = parser.parse_args()
    dataset = SyntheticVI(
        args.root, args.num_train, num_val=2, num_test=args.num_train // 4, images_per_camera=4, progress=True)
    datamanager = CrossModalityDataManager(
        sources=dataset, height=args.height, width=args.height // 2, pad=4, erasing=0, workers=0)
    model = timm.create_model('fdnm_resnet18', num_classes=datamanager.num_train_pids)
    heads = [parameter for name, parameter in model.named_parameters() if name.startswith('head.')]
    others = [parameter for name, parameter in model.named_parameters() if not name.startswith('head.')]
    optimizer = torch.optim.SGD(
        [{'params': others, 'lr': 0.02}, {'params': heads}], lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, args.epochs))
    engine = FDNMEngine(datamanager, model, optimizer, scheduler)
    engine.run(save_dir=args.out, max_epoch=args.epochs)  # prints the table, and leaves results.json and checkpoints


if __name__ == '__main__':
    main()
