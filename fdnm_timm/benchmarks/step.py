"""A training step of FDNM against one of the same network without AGP, ANM and L_cnm."""
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from .. import spectrum
from ..allocator import keep_freed_memory
from ..engine.step import TrainingStep
from ..fused import compile_mode
from ..layers import AmplitudeGuidedPhase, AmplitudeNuancesMining
from ..losses import FDNMLoss
from .child import peak_memory, resident_memory, resident_memory_is_known
from .rows import Row, row
from .settings import Settings
from .timing import ratios, seconds

__all__ = ['BASE', 'Side', 'build_step', 'floor', 'step_rows']

NUM_CLASSES = 395  # SYSU-MM01's training identities
BASE: Dict[str, Any] = dict(agp_stages=(), anm=False)


class Side(NamedTuple):
    """One way to do a step."""
    model_args: Dict[str, Any]
    lambda_cnm: float
    mode: str = 'never'  # of `fused.compile_mode`
    compile: bool = False
    amp: str = 'none'
    channels_last: bool = False


def _sides(settings: Settings) -> Dict[str, Side]:
    sides = {
        'base': Side(BASE, 0.),
        'FDNM': Side({}, 0.5),
        'base, channels_last': Side(BASE, 0., channels_last=True),
        'FDNM, channels_last': Side({}, 0.5, channels_last=True),
    }
    if settings.compiled:
        sides['FDNM, fused'] = Side({}, 0.5, mode='always')
        sides['base, compiled'] = Side(BASE, 0., compile=True)
        sides['FDNM, compiled'] = Side({}, 0.5, compile=True)
    if settings.device.type == 'cuda':
        sides['FDNM, bf16'] = Side({}, 0.5, 'never', settings.compiled, 'bf16', channels_last=True)
    return sides


def _batch(settings: Settings) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, identities and modalities of a training batch."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(settings.step_batch, 3, *settings.image, generator=generator)
    pids = torch.arange(settings.num_ids).repeat_interleave(2 * settings.num_instances)
    modality = torch.tensor([0, 1]).repeat_interleave(settings.num_instances).repeat(settings.num_ids)
    return images.to(settings.device), pids.to(settings.device), modality.to(settings.device)


def build_step(side: Side, settings: Settings) -> Callable[[], Dict[str, float]]:
    """A training step, from the images on the device to the moved weights; returns the losses."""
    torch.manual_seed(0)
    model: Any = timm.create_model(settings.model, num_classes=NUM_CLASSES, **side.model_args).to(settings.device)
    model.set_metric_training(True)
    model.train()
    images, pids, modality = _batch(settings)
    if side.channels_last:
        model = model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4, nesterov=True)
    step = TrainingStep(model, optimizer, FDNMLoss(lambda_cnm=side.lambda_cnm), side.amp, compile=side.compile)

    def run() -> Dict[str, float]:
        with compile_mode(side.mode):
            return step(images, pids, modality)

    return run


def _map_shapes(settings: Settings) -> Tuple[List[torch.Size], List[torch.Size]]:
    """Shapes of the maps that AGP and ANM get in a step."""
    model: Any = timm.create_model(settings.model, num_classes=0).to(settings.device)
    shapes: Dict[type, List[torch.Size]] = {AmplitudeGuidedPhase: [], AmplitudeNuancesMining: []}
    for module in model.modules():
        if type(module) in shapes:
            module.register_forward_hook(lambda m, args, out: shapes[type(m)].append(args[0].shape))
    images, _, modality = _batch(settings)
    with torch.no_grad():
        model(images, modality)
    return shapes[AmplitudeGuidedPhase], shapes[AmplitudeNuancesMining]


def floor(settings: Settings) -> Callable[[], None]:
    """What AGP and ANM cannot do without, forward and backward: the FFTs, and ANM's two convolutions as one."""
    def there_and_back(form: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> None:
        for x in inputs:
            x.grad = None
        y = form(*inputs)
        y.backward(torch.ones_like(y))

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=settings.device, requires_grad=True)

    def transforms(x: torch.Tensor, branches: int = 1) -> torch.Tensor:
        spec = spectrum.rfft2(x).unsqueeze(1)
        return spectrum.irfft2(spec.expand(-1, branches, *spec.shape[2:]), x.shape[-1])

    agp, anm = _map_shapes(settings)
    jobs = [partial(there_and_back, transforms, random(*shape)) for shape in agp]
    for b, c, h, w in anm:
        jobs.append(partial(there_and_back, partial(transforms, branches=2), random(b, c, h, w)))
        jobs.append(partial(
            there_and_back, torch.nn.functional.conv2d, random(b, c, h, w // 2 + 1), random(2 * c, c, 1, 1)))

    def run() -> None:
        for job in jobs:
            job()

    return run


def _peak(side: Side, settings: Settings) -> int:
    """The most bytes that the model and two steps take: on the GPU, or that the process grows by."""
    on_gpu = settings.device.type == 'cuda'
    if not on_gpu:
        keep_freed_memory()  # as a training run does
    before = 0 if on_gpu else resident_memory()
    step = build_step(side, settings)
    for _ in range(2):
        step()
    return torch.cuda.max_memory_allocated(settings.device) if on_gpu else peak_memory() - before


def _apart(job: Callable[[Side, Settings], int], settings: Settings) -> Dict[str, int]:
    """What the job finds of base and FDNM, each in a process of its own."""
    sides = _sides(settings)
    return {name: settings.apart(job, sides[name], settings) for name in ('base', 'FDNM')}


def _memory(settings: Settings) -> Iterator[Row]:
    if settings.device.type == 'cpu' and not resident_memory_is_known():
        return
    peaks = _apart(_peak, settings)
    for name, number in peaks.items():
        yield row('step', f'{name}, peak memory', 'MB', [number / 1e6])
    if peaks['base'] > 0:  # in one process, with --quick, the models may fit into what others have left
        yield row('step', 'FDNM over base, peak memory', 'x', [peaks['FDNM'] / peaks['base']])


def _operations(side: Side, settings: Settings) -> int:
    """Floating-point operations of a step's convolutions and matrix products, without FFTs and pointwise work."""
    step = build_step(side, settings)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def _arithmetic(settings: Settings) -> Iterator[Row]:
    counts = _apart(_operations, settings)
    for name, number in counts.items():
        yield row('step', f'{name}, arithmetic of convolutions and products', 'GFLOP', [number / 1e9])
    yield row('step', 'FDNM over base, that arithmetic', 'x', [counts['FDNM'] / counts['base']])


def _seconds(settings: Settings) -> Dict[str, List[float]]:
    """Of the steps, and of the floor."""
    if settings.device.type == 'cpu':
        keep_freed_memory()  # as a training run does
    functions: Dict[str, Callable[[], Any]] = {
        name: build_step(side, settings) for name, side in _sides(settings).items()}
    return seconds({**functions, 'floor': floor(settings)}, settings.repeats, settings.device)


def step_rows(settings: Settings) -> Iterator[Row]:
    """Times, ratios, arithmetic and peak memory of a step."""
    taken = settings.apart(_seconds, settings)
    floors = taken.pop('floor')
    size = f'{settings.model} {settings.step_batch}x3x{settings.image[0]}x{settings.image[1]}'
    for name, values in taken.items():
        yield row('step', f'{name}, {size}', 's', values)
    yield row('step', 'the FFTs and ANM\'s convolutions alone', 's', floors)
    pairs: List[Tuple[str, str, Optional[float]]] = [
        ('FDNM', 'base', 1.5), ('FDNM, fused', 'base', 1.35), ('FDNM, channels_last', 'base, channels_last', None),
        ('FDNM, compiled', 'base, compiled', 1.35)]
    for over, under, bar in pairs:
        if over in taken:
            yield row('step', f'{over} over {under}', 'x', ratios(taken[over], taken[under]), bar)
    total = [a + b for a, b in zip(taken['base'], floors)]
    yield row('step', 'floor: base and those alone, over base', 'x', ratios(total, taken['base']))
    if 'FDNM, bf16' in taken:
        yield row(
            'step', 'FDNM over FDNM, bf16, channels_last and compiled', 'x', ratios(taken['FDNM'], taken['FDNM, bf16']),
            3., at_least=True)
    yield from _arithmetic(settings)
    yield from _memory(settings)
