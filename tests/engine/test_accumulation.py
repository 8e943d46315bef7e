"""Optimizer steps of several batches, and the settings of a step."""
import copy
from typing import List, Tuple

import pytest
import timm
import torch

from fdnm_timm.config import load_config
from fdnm_timm.engine import build_engine
from fdnm_timm.engine.step import TrainingStep
from fdnm_timm.losses import FDNMLoss
from fdnm_timm.models._fdnm import FDNMOutput

from .helpers import small_engine, small_manager

PIDS, MODALITY = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0, 1] * 3)


class Plain(torch.nn.Module):
    """The least that the losses need: two branches, one head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Linear(5, 8)
        self.classify = torch.nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, modality: torch.Tensor) -> FDNMOutput:
        features = self.embed(x).reshape(-1, 2, 1, 4)
        return FDNMOutput(features, self.classify(features))


def batches(number: int) -> List[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(6, 5, generator=generator, dtype=torch.float64) for _ in range(number)]


def plain_step(dtype: torch.dtype = torch.float64, **kwargs) -> TrainingStep:
    torch.manual_seed(0)
    model = Plain().to(dtype)
    return TrainingStep(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), FDNMLoss(), **kwargs)


@pytest.mark.parametrize(('number', 'accumulate', 'groups'), [
    (6, 3, [(0, 3), (3, 6)]), (7, 3, [(0, 3), (3, 6), (6, 7)]), (2, 5, [(0, 2)]), (2, 1, [(0, 1), (1, 2)])])
def test_a_step_is_of_the_mean_loss_of_its_batches(number, accumulate, groups):
    """What an epoch leaves over makes a step of the mean of what there is."""
    step, data = plain_step(accumulate=accumulate), batches(number)
    other = copy.deepcopy(step.model)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    moved = []
    for place, images in enumerate(data):
        before = step.model.embed.weight.clone()
        step(images, PIDS, MODALITY, place, number)
        if not torch.equal(before, step.model.embed.weight):
            moved.append(place + 1)
    for first, end in groups:
        optimizer.zero_grad()
        torch.stack([
            FDNMLoss()(other(images, MODALITY), PIDS, MODALITY)[0] for images in data[first:end]]).mean().backward()
        optimizer.step()
    assert moved == [end for _, end in groups]
    for mine, expected in zip(step.model.parameters(), other.parameters()):
        torch.testing.assert_close(mine, expected, rtol=1e-12, atol=1e-12)


def test_reported_losses_are_of_the_batch_itself():
    images = batches(1)[0]
    assert plain_step(accumulate=4)(images, PIDS, MODALITY, 0, 8) == plain_step()(images, PIDS, MODALITY, 0, 8)


def test_gradient_scaler_changes_no_gradient():
    """Half precision with its scaler, on a model small enough for a CPU."""
    plain, scaled = plain_step(torch.float32), plain_step(torch.float32, amp='fp16', accumulate=2)
    images = batches(1)[0].float()
    plain(images, PIDS, MODALITY)
    for place in range(2):
        scaled(images, PIDS, MODALITY, place, 2)
    assert scaled.scaler.get_scale() == 2. ** 16  # no step was left out
    for mine, expected in zip(scaled.model.parameters(), plain.model.parameters()):
        torch.testing.assert_close(mine, expected, rtol=0.02, atol=2e-3)
        assert not torch.equal(mine, expected)


def test_scaler_leaves_out_a_step_that_overflows():
    step = plain_step(torch.float32, amp='fp16')
    before = copy.deepcopy(step.model.state_dict())
    step.model.embed.weight.register_hook(lambda gradient: gradient * torch.inf)
    step(batches(1)[0].float(), PIDS, MODALITY)
    assert all(torch.equal(value, before[name]) for name, value in step.model.state_dict().items())
    assert step.scaler.get_scale() == 2. ** 15


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="amp is 'fp8', but must be one of 'none', 'bf16', 'fp16'"):
        plain_step(amp='fp8')
    with pytest.raises(ValueError, match='accumulate is 0'):
        plain_step(accumulate=0)
    with pytest.raises(ValueError, match="compile is 'inducter'.* inductor"):
        plain_step(compile='inducter')


def test_accumulated_epoch(sysu_tree, tmp_path):
    """Batches stay whole, and the history is of all of them."""
    manager = small_manager(sysu_tree, height=32, width=16, num_instances=4, held_out=2)
    engine = small_engine(manager, accumulate=2)
    number = len(manager.train_loader)
    assert number % 2
    steps = []
    engine.optimizer.register_step_post_hook(lambda *args: steps.append(engine.batch_idx + 1))
    engine.run(save_dir=str(tmp_path), max_epoch=1)
    assert steps == [*range(2, number, 2), number]
    assert engine.history[0]['lr'] == 0.01 and engine.history[0].keys() >= {'loss', 'loss_id', 'loss_cnm', 'accuracy'}


def _losses(sysu_tree, *settings: str) -> Tuple[float, torch.Tensor]:
    """Of the first batch, and the gradient that it leaves."""
    config = load_config(settings=[
        'data.dataset=sysu_mm01', f'data.root={sysu_tree}', 'data.workers=0', 'data.height=32', 'data.width=16',
        'data.num_ids=2', 'data.num_instances=2', 'model.name=fdnm_resnet18', 'model.pretrained=false',
        'model.num_parts=0', 'train.use_gpu=false', *settings])
    engine = build_engine(config, progress=False)
    engine.set_model_mode('train')
    engine.epoch = engine.batch_idx = 0
    engine._epoch_sums = {}
    loss = engine.forward_backward(next(iter(engine.datamanager.train_loader)))['loss']
    return loss, engine.model.stem.infrared.conv1.weight.grad


@pytest.mark.parametrize('setting', [
    'train.grad_checkpointing=true', 'train.channels_last=true', 'train.compile=eager'])
def test_settings_change_how_a_step_is_computed_and_not_what(sysu_tree, setting):
    loss, gradient = _losses(sysu_tree)
    found, its = _losses(sysu_tree, setting)
    assert found == pytest.approx(loss, rel=1e-5)
    assert float((its - gradient).norm() / gradient.norm()) < 1e-3


def test_settings_reach_the_step(sysu_tree, monkeypatch):
    with pytest.raises(ValueError, match="train.amp is 'fp16', which takes a CPU minutes"):
        _losses(sysu_tree, 'train.amp=fp16')
    compiled = []
    monkeypatch.setattr(torch, 'compile', lambda model, backend: compiled.append(backend) or model)
    assert _losses(sysu_tree, 'train.compile=true') and compiled == ['inductor']


def test_checkpointing_and_memory_format_are_set(sysu_tree):
    manager = small_manager(sysu_tree)
    engine = small_engine(manager, channels_last=True)
    data = next(iter(manager.train_loader))
    assert engine.model.stages[0][0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    for images in (engine.parse_data_for_train(data)[0], engine.parse_data_for_eval(data)[0]):
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_channels_last_run_is_saved(sysu_tree, tmp_path):
    """safetensors takes contiguous tensors only."""
    from fdnm_timm.runs import train_run
    config = load_config(settings=[
        'data.dataset=sysu_mm01', f'data.root={sysu_tree}', 'data.workers=0', 'data.height=32', 'data.width=16',
        'data.num_ids=3', 'data.num_instances=4', 'data.hold_out=3', 'model.name=fdnm_resnet18',
        'model.pretrained=false', 'model.num_parts=0', 'train.channels_last=true', 'train.epochs=0'])
    engine = build_engine(config, progress=False)
    assert engine.model.stages[0][0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    train_run(config, tmp_path / 'run', progress=False)
    saved = timm.create_model(f'local-dir:{tmp_path / "run" / "hub"}', pretrained=True)
    assert torch.equal(saved.stages[0][0].conv1.weight, engine.model.stages[0][0].conv1.weight)
