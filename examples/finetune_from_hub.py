"""Fine-tune a published model on other people: `python examples/finetune_from_hub.py organisation/name`.

Loads the model with a fresh classifier for the new identities, trains it on them at the size and with the normalisation
that it was trained with, its backbone slower than its heads, and saves what comes out in the Hub's format. The model of
a run of yours is a source too: `local-dir:runs/mine/hub`.
"""
import argparse

import timm
import torch

import fdnm_timm  # noqa: F401
from fdnm_timm.data import create_dataset
from fdnm_timm.engine import CrossModalityDataManager, FDNMEngine
from fdnm_timm.hub import from_pretrained, save_pretrained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='ORG/NAME of the Hub, or local-dir:FOLDER')
    parser.add_argument('--dataset', default='synthetic_vi', help='name of a data set')
    parser.add_argument('--root', default='people', help="the data set's folder; drawn people are drawn into it")
    parser.add_argument('--out', default='finetuned', help='folder of the run; its hub/ is the model')
    parser.add_argument('--epochs', type=int, default=3)
    parser.add_argument('--lr', type=float, default=0.01, help='of the heads; the backbone gets a tenth')
    args = parser.parse_args()
    local = args.source.startswith('local-dir:')
    model = timm.create_model(args.source, pretrained=True) if local else from_pretrained(args.source)
    cfg = model.pretrained_cfg
    channels, height, width = cfg['input_size']
    datamanager = CrossModalityDataManager(
        sources=create_dataset(args.dataset, args.root), height=height, width=width, channels=channels,
        margin=round(height / cfg['crop_pct']) - height, mean=cfg['mean'], std=cfg['std'], workers=0)
    model.reset_classifier(datamanager.num_train_pids)
    heads = list(model.head.parameters())
    others = [parameter for name, parameter in model.named_parameters() if not name.startswith('head.')]
    optimizer = torch.optim.SGD(
        [{'params': others, 'lr': 0.1 * args.lr}, {'params': heads, 'lr': args.lr}], lr=args.lr, momentum=0.9)
    engine = FDNMEngine(datamanager, model, optimizer)
    engine.test()  # of the published model, to see what the fine-tuning adds
    engine.run(save_dir=args.out, max_epoch=args.epochs)
    save_pretrained(model, f'{args.out}/hub', data_config={key: cfg[key] for key in ('input_size', 'crop_pct')})
    print(f'The model is in "{args.out}/hub".')


if __name__ == '__main__':
    main()
