"""How much AGP, ANM and L_cnm do in a trained model: `python examples/inspect_parts.py RUN_DIR`.

Reads the run's configuration, data set and model (RUN_DIR/hub), embeds the images that the run was evaluated on, and
prints for AGP the strength S and how far it moves its input; for ANM how much its nuances differ between images, and
how far its two branches lie apart, as a multiple of the spread within a branch.
"""
import argparse
from pathlib import Path

import timm
import torch

import fdnm_timm  # noqa: F401
from fdnm_timm import spectrum
from fdnm_timm.config import load_config
from fdnm_timm.data import ImageItems, build_test_transform, create_dataset, hold_out


def watch(model: torch.nn.Module, notes: dict) -> None:
    def agp(name):
        def hook(module, inputs, output):
            strength = module.guide(spectrum.analyse(inputs[0], mean=True)[1]).sigmoid()
            moved = (output - inputs[0]).norm() / inputs[0].norm()
            notes.setdefault(name, []).append((strength.mean(), strength.max(), moved))
        return hook

    def anm(module, inputs, output):
        nuances = module._nuances(spectrum.analyse(inputs[0])[1])
        notes.setdefault('nuances', []).append(nuances)

    for name, module in model.named_modules():
        if name.endswith('agp'):
            module.register_forward_hook(agp(name))
        elif name == 'anm' and module is not None:
            module.register_forward_hook(anm)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('run_dir', type=Path)
    args = parser.parse_args()
    config = load_config(args.run_dir / 'config.yaml').data
    dataset = create_dataset(config.dataset, config.root, **config.options)
    if config.hold_out:
        dataset = hold_out(dataset, config.hold_out)
    model = timm.create_model(f'local-dir:{args.run_dir / "hub"}', pretrained=True).eval()
    form = {name: model.pretrained_cfg[name] for name in ('mean', 'std')}
    items = ImageItems(dataset.test, dataset, build_test_transform(
        config.height, config.width, config.margin, model.in_chans, **form))
    notes: dict = {}
    watch(model, notes)
    pooled = []
    for batch in torch.utils.data.DataLoader(items, batch_size=64):
        pooled.append(model.head.pool(model.forward_features(batch['img'], batch['modality'])))
    for name, values in notes.items():
        if name != 'nuances':
            mean, most, moved = (torch.stack(column) for column in zip(*values))
            print(f'{name}: S mean {mean.mean():.3f}, largest {most.max():.3f}; '
                  f'moves its input by {100 * moved.mean():.1f} %')
    features = torch.cat(pooled)
    if 'nuances' in notes:
        nuances = torch.cat(notes['nuances'])
        print(f'ANM: |nuances| {nuances.mean(dim=0).abs().mean():.3f}, '
              f'of which {nuances.std(dim=0).mean():.4f} differs between images')
        offset = (features[:, 0] - features[:, 1]).mean(dim=0).abs().mean(dim=-1)
        spread = (features - features.mean(dim=0)).std(dim=0).mean(dim=(0, 2))
        print('branches apart, in spreads within a branch, by head: '
              + ', '.join(f'{value:.2f}' for value in offset / spread))


if __name__ == '__main__':
    main()
