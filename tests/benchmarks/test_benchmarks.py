"""That both sides of a comparison compute the same thing, and that numbers are taken and judged rightly; no times."""
import dataclasses
import os

import numpy as np
import pytest
import timm
import torch

from fdnm_timm.benchmarks import BENCHMARKS, run_benchmarks, settings_for
from fdnm_timm.benchmarks.child import in_child, peak_memory, resident_memory, resident_memory_is_known
from fdnm_timm.benchmarks.inference import embedder
from fdnm_timm.benchmarks.layers import Form, forms_of
from fdnm_timm.benchmarks.literal import LiteralAGP, LiteralANM
from fdnm_timm.benchmarks.loading import DrawnSet, train_loader
from fdnm_timm.benchmarks.loop import rank_in_a_loop
from fdnm_timm.benchmarks.ranking import regdb_problem, sysu_problem
from fdnm_timm.benchmarks.rows import Row, row
from fdnm_timm.benchmarks.step import BASE, NUM_CLASSES, Side, _map_shapes, _operations, build_step, floor
from fdnm_timm.benchmarks.timing import ratios, seconds
from fdnm_timm.data.cache import open_cache
from fdnm_timm.layers import AmplitudeGuidedPhase, AmplitudeNuancesMining
from fdnm_timm.metrics import rank
from tests import reference

CPU = torch.device('cpu')
SETTINGS = settings_for(CPU, repeats=2, quick=True)


# ------------------------------------------------------------------------------------------ both sides

@pytest.mark.parametrize('ours, literal', [
    (AmplitudeGuidedPhase, LiteralAGP), (AmplitudeNuancesMining, LiteralANM)], ids=['agp', 'anm'])
def test_forms_give_the_same(ours, literal):
    torch.manual_seed(0)
    module = ours(4, init='paper').double()
    for name, parameter in module.named_parameters():
        if 'norm' in name:  # amplitudes stay above 0: torch.polar's gradient has the wrong sign below
            torch.nn.init.constant_(parameter, 0.1 if name.endswith('weight') else 1.)
    forms = forms_of(module, literal(4).double(), SETTINGS)
    x = torch.randn(3, 4, 8, 5, dtype=torch.float64, requires_grad=True)
    found = {}
    for name, form in forms.items():
        out = form.there_and_back(x)()
        maps = torch.cat([out] if isinstance(out, torch.Tensor) else out)
        found[name] = maps.detach(), x.grad.clone(), [p.grad.clone() for p in form.module.parameters()]
    assert list(found) == ['literal', 'eager']
    torch.testing.assert_close(found['eager'], found['literal'], rtol=1e-6, atol=1e-9)
    assert found['eager'][1].abs().max() > 0.01
    everything = dataclasses.replace(SETTINGS, compiled=True)
    compiled = forms_of(ours(4), literal(4), everything)
    assert compiled['compiled'] == Form(compiled['eager'].module, 'always') and compiled['eager'].mode == 'never'


@pytest.mark.parametrize('make', [sysu_problem, regdb_problem])
def test_loop_and_rank_give_the_same(make):
    problem = make(60, 50)
    found, ours, slow = rank_in_a_loop(**problem), rank(**problem), reference.rank(**problem)
    for result in (ours, slow):
        assert found.n_valid == result.n_valid > 20
        np.testing.assert_allclose([found.mAP, found.mINP], [result.mAP, result.mINP], rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.cmc[:len(result.cmc)], result.cmc[:len(found.cmc)], rtol=0, atol=1e-9)
    assert 0 < found.cmc[0] < 1 or make is regdb_problem


def test_loop_leaves_out_what_ours_leaves_out():
    """The rule takes camera 2 from the queries of camera 3, and queries without a match are not counted."""
    problem = sysu_problem(80, 30)
    problem['g_camids'][:20] = 2
    found, ours = rank_in_a_loop(**problem), rank(**problem)
    assert found.n_valid == ours.n_valid < rank_in_a_loop(**{**problem, 'rule': None}).n_valid < 80
    assert found.mAP == pytest.approx(ours.mAP, abs=1e-9) and found.cmc == pytest.approx(ours.cmc, abs=1e-9)


def test_base_is_the_same_network_without():
    names = []
    for args in (BASE, {}):
        model = timm.create_model(SETTINGS.model, num_classes=NUM_CLASSES, **args)
        names.append({name: p.shape for name, p in model.named_parameters()})
    base, whole = names
    assert base.items() <= whole.items()
    assert all('agp.' in name or name.startswith('anm.') for name in whole.keys() - base.keys())
    assert {name.split('.agp.')[0] for name in whole if '.agp.' in name} == {'stages.0', 'stages.1'}


def test_steps_train():
    losses = {name: [build() for _ in range(3)] for name, build in (
        ('base', build_step(Side(BASE, 0.), SETTINGS)), ('FDNM', build_step(Side({}, 0.5), SETTINGS)))}
    assert 'loss_cnm' in losses['FDNM'][0] and 'loss_cnm' not in losses['base'][0]
    for of_side in losses.values():
        assert len({step['loss'] for step in of_side}) == 3 and np.isfinite([step['loss'] for step in of_side]).all()


def test_floor_has_the_maps_of_the_model():
    agp, anm = _map_shapes(SETTINGS)
    batch, (height, width) = SETTINGS.step_batch, SETTINGS.image
    assert agp == [(batch, 64, height // 4, width // 4), (batch, 128, height // 8, width // 8)]
    assert anm == [(batch, 512, height // 16, width // 16)]
    floor(SETTINGS)()


def test_arithmetic_is_the_convolutions_and_the_classifiers():
    (_, channels, height, width), = _map_shapes(SETTINGS)[1]
    batch, features = SETTINGS.step_batch, embedder(BASE, SETTINGS, False)().shape[1]
    products = [
        batch * height * (width // 2 + 1) * channels * 2 * channels,  # ANM's two convolutions
        batch * features * NUM_CLASSES,  # twice the features to classify
        sum(batch * maps[1] ** 2 for maps in _map_shapes(SETTINGS)[0])]  # AGP's guides
    more = _operations(Side({}, 0.5), SETTINGS) - _operations(Side(BASE, 0.), SETTINGS)
    assert more == pytest.approx(3 * 2 * sum(products), rel=0.01)  # forward and the two gradients, a sum and a product


def test_inference_embeds():
    base, whole = embedder(BASE, SETTINGS, False)(), embedder({}, SETTINGS, False)()
    assert whole.shape == (SETTINGS.inference_batch, 2 * base.shape[1]) and bool(torch.isfinite(whole).all())


def test_loaders_give_the_same(tmp_path):
    DrawnSet.draw(tmp_path / 'drawn', 26)
    assert len(list((tmp_path / 'drawn').glob('*/*.jpg'))) == 26
    small, large = DrawnSet(tmp_path / 'drawn', 13), DrawnSet(tmp_path / 'drawn', 26)
    assert len(small.train) == 13 and len(large.train) == 26
    for dataset in (small, large):
        assert len(dataset.train_names) == 6
        modalities = [dataset.modality(path) for path, _, _ in dataset.train]
        assert abs(len(modalities) - 2 * sum(modalities)) <= 1
    plain = train_loader(large, SETTINGS)
    cached = train_loader(large, SETTINGS, open_cache(tmp_path / 'cache', large, plain.dataset.transform))
    for one, other in zip(plain, cached, strict=True):
        assert torch.equal(one['img'], other['img']) and len(one['img']) == 48


# -------------------------------------------------------------------------------------------- numbers

def test_functions_run_in_turn():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in 'abc'}
    taken = seconds(functions, repeats=3, device=CPU, warmup=2)
    assert ''.join(calls) == 'aabbcc' + 'abc' + 'cba' + 'abc'
    assert list(taken) == ['a', 'b', 'c'] and all(len(values) == 3 and min(values) >= 0 for values in taken.values())
    assert ratios([2., 6.], [1., 2.]) == [2., 3.]


def test_row_is_the_median_with_quartiles():
    found = row('agp', 'what', 's', [5., 1., 2., 4., 3.])
    assert (found.low, found.median, found.high, found.repeats) == (2, 3, 4, 5)
    assert found.met is None and 'bar' not in str(found) and '3 s (2 s to 4 s)' in str(found)
    once = str(row('agp', 'what', 'MB', [1234.5]))
    assert '(' not in once and '1,234.5 MB' in once


@pytest.mark.parametrize('median, at_least, met', [
    (0.5, False, True), (0.51, False, False), (0.49, False, True), (0.5, True, True), (0.49, True, False)])
def test_bars(median, at_least, met):
    found = Row('agp', 'what', 'x', median, 0., 1., 3, 0.5, at_least)
    assert found.met is met and found.to_json()['met'] is met
    assert ('NOT met' in str(found)) is not met and ('>=' in str(found)) is at_least


def test_only_a_quick_run_is_not_judged():
    quick = list(run_benchmarks(SETTINGS, ['agp']))
    judged = list(run_benchmarks(dataclasses.replace(SETTINGS, quick=False), ['agp']))
    assert [found.bar for found in quick] == [None] * len(quick)
    assert {found.what: found.bar for found in judged if found.bar} == {
        'eager over literal, time': 1., 'eager over literal, saved bytes': 0.5}
    with pytest.raises(ValueError, match=r"no benchmark \['nothing'\]: known are agp, anm"):
        next(run_benchmarks(SETTINGS, ['agp', 'nothing']))


def test_shapes_are_the_designs():
    for device, ids in (('cpu', 2), ('cuda', 6)):
        settings = settings_for(torch.device(device), 5)
        assert settings.agp == (48, 256, 96, 48) and settings.sysu == (3803, 301) and settings.regdb == (2060, 2060)
        assert settings.model == 'fdnm_resnet50' and settings.image == (384, 192) and not settings.quick
        assert settings.step_batch == 8 * ids
    assert list(BENCHMARKS) == ['agp', 'anm', 'step', 'inference', 'loading', 'ranking', 'search', 'beside']


def grow(size: int):
    """For a child: its number, threads, and what it grows by while it holds `size` bytes for a moment."""
    before = resident_memory()
    block = np.ones(size, np.uint8)
    del block
    return os.getpid(), torch.get_num_threads(), peak_memory() - before


@pytest.mark.skipif(not resident_memory_is_known(), reason='needs Linux')
def test_memory_is_that_of_a_fresh_process():
    mine = np.ones(300_000_000, np.uint8)
    pid, threads, grown = in_child(grow, 100_000_000)
    assert pid != os.getpid() and threads == torch.get_num_threads()
    assert 95e6 < grown < 150e6 < len(mine)
