"""Put amplitude guided phase (AGP) into a network of somebody else: `python examples/agp_in_another_network.py`.

AGP takes maps (B, C, H, W) and gives maps of the same shape, so that it goes between any two stages. Here it follows
the first two stages of timm's ResNet-18, which then learns to tell drawn people apart, seen by cameras of both kinds.
AGP starts as the identity, nearly, so that pretrained weights keep their meaning (`--pretrained` fetches them).
"""
import argparse

import timm
import torch
from torch import nn

from fdnm_timm.data import build_test_transform
from fdnm_timm.data.synthetic import draw_person
from fdnm_timm.layers import AmplitudeGuidedPhase


def with_agp(model: nn.Module) -> nn.Module:
    for stage, channels in (('layer1', 64), ('layer2', 128)):  # model.feature_info has the channels of each stage
        setattr(model, stage, nn.Sequential(getattr(model, stage), AmplitudeGuidedPhase(channels)))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pretrained', action='store_true', help='start from ImageNet')
    parser.add_argument('--people', type=int, default=16)
    parser.add_argument('--steps', type=int, default=40)
    parser.add_argument('--height', type=int, default=96)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = with_agp(timm.create_model('resnet18', pretrained=args.pretrained, num_classes=args.people)).train()
    transform = build_test_transform(args.height, args.height // 2)
    cameras = (1, 3, 4, 6)  # two visible, two infrared
    images = torch.stack([transform(draw_person(pid, cam, 0)) for pid in range(args.people) for cam in cameras])
    labels = torch.arange(args.people).repeat_interleave(len(cameras))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for step in range(args.steps):
        batch = torch.randperm(len(images))[:32]
        loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (0, args.steps - 1):
            print(f'step {step + 1}: loss {loss.item():.3f}')


if __name__ == '__main__':
    main()
