"""AGP and ANM, forward and backward, against their literal forms."""
from typing import Any, Callable, Dict, Iterator, List, NamedTuple

import torch

from ..allocator import keep_freed_memory
from ..fused import compile_mode
from ..layers import AmplitudeGuidedPhase, AmplitudeNuancesMining
from .literal import LiteralAGP, LiteralANM
from .memory import saved_bytes
from .rows import Row, row
from .settings import Settings, Shape
from .timing import ratios, seconds

__all__ = ['Form', 'agp_rows', 'anm_rows', 'forms_of']


class Form(NamedTuple):
    """A module and the mode of `fused.compile_mode` that it runs in."""
    module: torch.nn.Module
    mode: str

    def there_and_back(self, x: torch.Tensor) -> Callable[[], Any]:
        """A forward and a backward pass, to the input (which requires a gradient) and the parameters."""
        # random: of all ones, a batch norm makes 0
        grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype).to(x.device)

        def run() -> Any:
            self.module.zero_grad(set_to_none=True)
            x.grad = None
            with compile_mode(self.mode):
                out = self.module(x)
                maps = [out] if isinstance(out, torch.Tensor) else list(out)
                torch.autograd.backward(maps, [grad] * len(maps))
            return out

        return run


def forms_of(ours: torch.nn.Module, literal: torch.nn.Module, settings: Settings) -> Dict[str, Form]:
    """The literal form and ours, eager and compiled, with the same weights on the settings' device."""
    literal.load_state_dict(ours.state_dict())
    ours, literal = ours.to(settings.device), literal.to(settings.device)
    forms = {'literal': Form(literal, 'never'), 'eager': Form(ours, 'never')}
    return {**forms, 'compiled': Form(ours, 'always')} if settings.compiled else forms


def _maps(shape: Shape, settings: Settings) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(settings.device).requires_grad_()


def _seconds(forms: Dict[str, Form], shape: Shape, settings: Settings) -> Dict[str, List[float]]:
    x = _maps(shape, settings)
    return seconds({name: form.there_and_back(x) for name, form in forms.items()}, settings.repeats, settings.device)


def _seconds_with_memory_kept(forms: Dict[str, Form], shape: Shape, settings: Settings) -> Dict[str, List[float]]:
    """As `_seconds`, in a process that allocates as a training run on a CPU does."""
    keep_freed_memory()
    return _seconds(forms, shape, settings)


def _rows(
        name: str,
        ours: torch.nn.Module,
        literal: torch.nn.Module,
        shape: Shape,
        settings: Settings,
        bars: Dict[str, float],
) -> Iterator[Row]:
    forms = forms_of(ours, literal, settings)
    taken = _seconds(forms, shape, settings)
    size = 'x'.join(map(str, shape))
    for form, values in taken.items():
        yield row(name, f'{form}, forward and backward, {size}', 's', values)
    for form in ('eager', 'compiled'):
        if form in taken:
            yield row(name, f'{form} over literal, time', 'x', ratios(taken[form], taken['literal']), bars.get(form))
    if settings.device.type == 'cpu':
        taken = settings.apart(_seconds_with_memory_kept, forms, shape, settings)
        for form in [form for form in taken if form != 'literal']:
            yield row(
                name, f'{form} over literal, time, freed memory kept', 'x', ratios(taken[form], taken['literal']))
    # compiled or not, the same is kept
    x = _maps(shape, settings)
    kept = {form: saved_bytes(forms[form].module, x) for form in ('literal', 'eager')}
    for form, number in kept.items():
        yield row(name, f'{form}, saved for backward', 'MB', [number / 1e6])
    yield row(name, 'eager over literal, saved bytes', 'x', [kept['eager'] / kept['literal']], bars.get('saved'))


def agp_rows(settings: Settings) -> Iterator[Row]:
    """Time and saved bytes of AGP."""
    channels = settings.agp[1]
    # the paper's initialisation turns every phase by half of itself, no less than a trained gate does
    yield from _rows(
        'agp', AmplitudeGuidedPhase(channels, init='paper'), LiteralAGP(channels), settings.agp, settings,
        {'eager': 1., 'compiled': 0.5, 'saved': 0.5})


def anm_rows(settings: Settings) -> Iterator[Row]:
    """Time and saved bytes of ANM, for which the design has no bar."""
    channels = settings.anm[1]
    yield from _rows(
        'anm', AmplitudeNuancesMining(channels, init='paper'), LiteralANM(channels), settings.anm, settings, {})
