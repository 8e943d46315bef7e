import math
import re

import pytest
import torch

from fdnm_timm.losses import CenterGuidedNuancesMiningLoss, FDNMLoss, HardTripletLoss
from fdnm_timm.models import FDNMOutput
from tests import reference

# visible and infrared images of each identity: unequal, as a real last batch may be
COUNTS = {3: (4, 4), 11: (1, 3), 0: (2, 1), 7: (3, 5), 5: (1, 1)}


def labels(counts=None):
    """pids and modality (0 = visible, 1 = infrared), in order."""
    rows = [(pid, m) for pid, both in (counts or COUNTS).items() for m in (0, 1) for _ in range(both[m])]
    pids, modality = zip(*rows, strict=True)
    return torch.tensor(pids), torch.tensor(modality)


def batch(seed: int, dim: int = 6, shuffle: bool = True, counts=None):
    """f1, f2, pids, modality: identities apart from each other, so that some hinges are active and some are not."""
    g = torch.Generator().manual_seed(seed)
    pids, modality = labels(counts)
    if shuffle:
        order = torch.randperm(len(pids), generator=g)
        pids, modality = pids[order], modality[order]
    anchors = torch.randn(12, dim, generator=g, dtype=torch.float64) * 0.7
    f1, f2 = (
        anchors[pids] + 0.3 * modality[:, None] + 0.6 * torch.randn(len(pids), dim, generator=g, dtype=torch.float64)
        for _ in range(2)
    )
    return f1, f2, pids, modality


def network_output(seed: int, branches: int = 2, heads: int = 3, dim: int = 5, classes: int = 12, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    pids, modality = labels()
    order = torch.randperm(len(pids), generator=g)
    pids, modality = pids[order], modality[order]
    features = torch.randn(len(pids), branches, heads, dim, generator=g, dtype=torch.float64)
    features = features + 0.3 * pids[:, None, None, None]
    logits = torch.randn(len(pids), branches, heads, classes, generator=g, dtype=torch.float64) * 2
    return FDNMOutput(features=features.to(dtype), logits=logits.to(dtype)), pids, modality


def number(tensor: torch.Tensor) -> float:
    assert isinstance(tensor, torch.Tensor) and tensor.shape == ()
    return tensor.item()


# ------------------------------------------------------------------------------- the references, by hand

def test_reference_cnm_by_hand():
    # centres on a line: identity 0: v1 = 0, i1 = 1, v2 = 3, i2 = 5; identity 1: v1 = 10, i1 = 12, v2 = 10, i2 = 11
    pids, modality = [0, 0, 0, 1, 1], [0, 0, 1, 0, 1]
    f1 = torch.tensor([[-1.0], [1.0], [1.0], [10.0], [12.0]], dtype=torch.float64)
    f2 = torch.tensor([[2.0], [4.0], [5.0], [10.0], [11.0]], dtype=torch.float64)
    expected = [
        max(2 * 1 - 3 - 10 + 0.2, 0) + max(2 * 2 - 0 - 10 + 0.2, 0),
        max(2 * 2 - 3 - 7 + 0.2, 0) + max(2 * 1 - 0 - 7 + 0.2, 0),
        max(2 * 1 - 4 - 11 + 0.2, 0) + max(2 * 2 - 1 - 11 + 0.2, 0),
        max(2 * 2 - 4 - 6 + 0.2, 0) + max(2 * 1 - 1 - 6 + 0.2, 0),
    ]
    assert reference.cnm_terms(f1, f2, pids, modality, 0.2, 'sum') == pytest.approx(expected)
    # a margin that opens every hinge: the plain numbers, over two pairs
    opened = reference.cnm_terms(f1, f2, pids, modality, 20.0, 'mean')
    assert opened == pytest.approx([(9 + 14) / 2, (14 + 15) / 2, (7 + 12) / 2, (14 + 15) / 2])


def test_reference_triplet_by_hand():
    features = torch.tensor([[0.0], [1.0], [1.5], [4.0]], dtype=torch.float64)
    # anchors: 1 - 1.5 + .6, 1 - .5 + .6, 2.5 - .5 + .6, 2.5 - 3 + .6
    assert reference.hard_triplet(features, [0, 0, 1, 1], 0.6) == pytest.approx((0.1 + 1.1 + 2.6 + 0.1) / 4)


# ------------------------------------------------------------------------------- L_cnm

@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('margin', [0.2, 0.0, 2.5])
def test_cnm_equals_reference(seed, reduction, margin):
    f1, f2, pids, modality = batch(seed)
    expected = reference.cnm(f1, f2, pids, modality, margin, reduction)
    got = number(CenterGuidedNuancesMiningLoss(margin=margin, reduction=reduction)(f1, f2, pids, modality))
    assert got == pytest.approx(expected, abs=1e-9)
    single = CenterGuidedNuancesMiningLoss(margin, reduction)(f1.float(), f2.float(), pids, modality)
    assert single.dtype == torch.float32
    assert number(single) == pytest.approx(reference.cnm(f1.float(), f2.float(), pids, modality, margin, reduction),
                                           rel=1e-5, abs=1e-5)


def test_cnm_batches_are_not_trivial():
    # what the comparisons above rest on: hinges of both kinds, and four different terms
    terms = reference.cnm_terms(*batch(0), 0.2, 'sum')
    active = round((reference.cnm_terms(*batch(0), 0.2 + 1e-6, 'sum')[0] - terms[0]) / 1e-6)
    assert 0 < active < len(COUNTS) * (len(COUNTS) - 1)
    assert min(abs(a - b) for n, a in enumerate(terms) for b in terms[:n]) > 1e-3


def test_cnm_defaults():
    args = batch(1)
    assert number(CenterGuidedNuancesMiningLoss()(*args)) == pytest.approx(reference.cnm(*args, 0.2, 'mean'), abs=1e-9)


def test_cnm_does_not_depend_on_the_order():
    f1, f2, pids, modality = batch(2)
    loss = CenterGuidedNuancesMiningLoss()
    for seed in range(4):
        order = torch.randperm(len(pids), generator=torch.Generator().manual_seed(seed))
        assert number(loss(f1[order], f2[order], pids[order], modality[order])) == \
            pytest.approx(number(loss(f1, f2, pids, modality)), abs=1e-12)


def test_cnm_symmetries():
    # the mean of the four terms forgets which branch is the first and which modality is called 0
    f1, f2, pids, modality = batch(3)
    loss = CenterGuidedNuancesMiningLoss()
    expected = number(loss(f1, f2, pids, modality))
    assert number(loss(f2, f1, pids, modality)) == pytest.approx(expected, abs=1e-12)
    assert number(loss(f1, f2, pids, 1 - modality)) == pytest.approx(expected, abs=1e-12)
    # nor do the numbers that identities go by matter
    assert number(loss(f1, f2, 1000 - 7 * pids, modality)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('kind', [torch.bool, torch.uint8, torch.int32, torch.int64], ids=str)
def test_cnm_modality_types(kind):
    f1, f2, pids, modality = batch(4)
    loss = CenterGuidedNuancesMiningLoss()
    assert number(loss(f1, f2, pids, modality.to(kind))) == number(loss(f1, f2, pids, modality))
    assert number(loss(f1, f2, pids.int(), modality)) == number(loss(f1, f2, pids, modality))


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
def test_cnm_gradcheck(reduction):
    f1, f2, pids, modality = batch(5, dim=3, counts={2: (2, 1), 0: (1, 2), 1: (1, 1)})
    loss = CenterGuidedNuancesMiningLoss(margin=2.0, reduction=reduction)
    assert torch.autograd.gradcheck(
        lambda a, b: loss(a, b, pids, modality), (f1.requires_grad_(), f2.requires_grad_()), eps=1e-6, atol=1e-6,
    )


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize('kind', ['branches equal', 'all equal', 'zero', 'tiny', 'modalities equal'])
def test_cnm_degenerate_features_have_finite_gradients(kind, dtype):
    f1, f2, pids, modality = batch(6)
    if kind == 'branches equal':  # FDNM at its first step: ANM starts as the identity
        f2 = f1.clone()
    elif kind == 'all equal':
        f1, f2 = torch.full_like(f1, 0.37), torch.full_like(f1, 0.37)
    elif kind == 'zero':
        f1, f2 = torch.zeros_like(f1), torch.zeros_like(f1)
    elif kind == 'tiny':
        f1, f2 = f1 * 1e-25, f2 * 1e-25
    else:
        f1, f2 = pids[:, None].double().expand(-1, 4), pids[:, None].double().expand(-1, 4) + 1
    f1, f2 = (f.to(dtype).clone().requires_grad_() for f in (f1, f2))
    for reduction in ('mean', 'sum'):
        value = CenterGuidedNuancesMiningLoss(reduction=reduction)(f1, f2, pids, modality)
        expected = reference.cnm(f1.detach(), f2.detach(), pids, modality, 0.2, reduction)
        assert number(value.detach()) == pytest.approx(expected, rel=1e-5, abs=1e-5)
        grads = torch.autograd.grad(value, (f1, f2))
        assert all(g.isfinite().all() for g in grads)
        # 2 D(j) - D(j) - D(jk): a centre's pull is at most 2*2 + 2*1 + 2*1 a pair, and unit vectors bound each
        assert all(g.norm() <= 8 * 20 for g in grads)


def test_cnm_subgradient_at_zero_distance_is_zero():
    # f1 == f2: the branch distance has no direction there, so it must not push. Against the reference's own slope
    f1, _, pids, modality = batch(7, dim=3)
    loss = CenterGuidedNuancesMiningLoss(margin=3.0)
    leaf = f1.clone().requires_grad_()
    grad, = torch.autograd.grad(loss(leaf, f1.clone(), pids, modality), leaf)
    # with a subgradient of 0, moving only branch 1 changes only D(own, other modality) and D(own, other identity);
    # the branch distances enter symmetrically, so the central difference cancels them
    for n in (0, 5):
        for d in range(3):
            step = torch.zeros_like(f1)
            step[n, d] = 1e-5
            plus = reference.cnm(f1 + step, f1, pids, modality, 3.0)
            minus = reference.cnm(f1 - step, f1, pids, modality, 3.0)
            assert grad[n, d].item() == pytest.approx((plus - minus) / 2e-5, abs=1e-6)


def test_cnm_gradient_flows_to_both_branches():
    f1, f2, pids, modality = batch(8)
    f1.requires_grad_(), f2.requires_grad_()
    grads = torch.autograd.grad(CenterGuidedNuancesMiningLoss(margin=2.0)(f1, f2, pids, modality), (f1, f2))
    assert all((g.norm(dim=1) > 0).all() for g in grads)


def test_cnm_errors():
    loss = CenterGuidedNuancesMiningLoss()
    f1, f2, pids, modality = batch(9)
    with pytest.raises(ValueError, match='identit'):
        loss(f1, f2, torch.full_like(pids, 4), modality)
    missing = modality.clone()
    missing[pids == 11] = 0
    with pytest.raises(ValueError, match=r'\b11\b'):
        loss(f1, f2, pids, missing)
    missing = modality.clone()
    missing[pids == 7] = 1
    with pytest.raises(ValueError, match=r'\b7\b'):
        loss(f1, f2, pids, missing)
    with pytest.raises(ValueError, match='modality'):
        loss(f1, f2, pids, modality[:-1])
    with pytest.raises(ValueError, match='pids'):
        loss(f1, f2, pids[:-1], modality)
    with pytest.raises(ValueError, match=re.escape(str(f2.shape[1] - 1))):
        loss(f1, f2[:, :-1], pids, modality)
    with pytest.raises(ValueError):
        loss(f1, f2[:-1], pids, modality)
    with pytest.raises(ValueError):
        loss(f1, f2, pids, modality + 1)  # 1 and 2: nothing is visible
    with pytest.raises(ValueError, match='average') as error:
        CenterGuidedNuancesMiningLoss(reduction='average')
    assert 'mean' in str(error.value) and 'sum' in str(error.value)


# ------------------------------------------------------------------------------- triplet

@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('margin', [0.3, 0.0, 2.0])
def test_triplet_equals_reference(seed, margin):
    f, _, pids, _ = batch(seed)
    assert number(HardTripletLoss(margin=margin)(f, pids)) == \
        pytest.approx(reference.hard_triplet(f, pids, margin), abs=1e-9)
    assert number(HardTripletLoss(margin)(f.float(), pids)) == \
        pytest.approx(reference.hard_triplet(f.float(), pids, margin), rel=1e-5, abs=1e-5)


def test_triplet_default_margin():
    f, _, pids, _ = batch(0)
    assert number(HardTripletLoss()(f, pids)) == pytest.approx(reference.hard_triplet(f, pids, 0.3), abs=1e-9)


@pytest.mark.parametrize('offset', [3, 30, 300])
def test_triplet_float32_far_from_the_origin(offset):
    # |a|^2 + |b|^2 - 2ab loses close distances here, and with them the order that picks the hardest examples; the
    # reference sees the same float32 features, and differences of those are exact enough
    f, _, pids, _ = batch(0, dim=16)
    f = (f * 0.1 + offset).float()
    assert number(HardTripletLoss()(f, pids)) == pytest.approx(reference.hard_triplet(f, pids), rel=1e-5, abs=1e-5)


def test_triplet_does_not_depend_on_the_order():
    f, _, pids, _ = batch(1)
    order = torch.randperm(len(pids), generator=torch.Generator().manual_seed(0))
    loss = HardTripletLoss()
    assert number(loss(f[order], pids[order])) == pytest.approx(number(loss(f, pids)), abs=1e-12)


def test_triplet_gradcheck():
    f, _, pids, _ = batch(2, dim=3, counts={2: (2, 1), 0: (1, 2), 1: (1, 1)})
    assert torch.autograd.gradcheck(lambda x: HardTripletLoss(2.0)(x, pids), (f.requires_grad_(),), atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
def test_triplet_degenerate_features_have_finite_gradients(dtype):
    f, _, pids, _ = batch(3)
    twins = f.clone()
    twins[1] = twins[0]
    collapsed = pids[:, None].double().expand(-1, 4)
    for features in (torch.zeros_like(f), torch.full_like(f, 0.37), f * 1e-25, collapsed, twins):
        x = features.to(dtype).clone().requires_grad_()
        value = HardTripletLoss()(x, pids)
        assert number(value.detach()) == pytest.approx(reference.hard_triplet(x.detach(), pids), rel=1e-5, abs=1e-5)
        grad, = torch.autograd.grad(value, x)
        assert grad.isfinite().all()
        assert grad.norm() <= 2 * math.sqrt(2) + 1e-5  # an anchor moves two pairs by unit vectors, and 1/N scales it


def test_triplet_errors():
    f, _, pids, _ = batch(4)
    with pytest.raises(ValueError, match='pids'):
        HardTripletLoss()(f, pids[:-1])
    with pytest.raises(ValueError, match='identit'):
        HardTripletLoss()(f, torch.zeros_like(pids))


# ------------------------------------------------------------------------------- the total

@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('reduction', ['mean', 'sum'])
def test_fdnm_equals_reference(seed, reduction):
    output, pids, modality = network_output(seed)
    for kwargs in (
        {},
        {'lambda_tri': 0.7, 'lambda_cnm': 0.3, 'margin_tri': 1.1, 'margin_cnm': 1.7},
    ):
        total, parts = FDNMLoss(cnm_reduction=reduction, **kwargs)(output, pids, modality)
        expected = reference.fdnm_parts(
            *output, pids, modality, kwargs.get('margin_tri', 0.3), kwargs.get('margin_cnm', 0.2), reduction,
        )
        assert set(parts) == {'id', 'tri', 'cnm'}
        for name in parts:
            assert float(parts[name]) == pytest.approx(expected[name], abs=1e-9), name
        assert expected['tri'] > 0 and expected['cnm'] > 0
        assert number(total) == pytest.approx(
            expected['id'] + kwargs.get('lambda_tri', 1.0) * expected['tri'] +
            kwargs.get('lambda_cnm', 0.5) * expected['cnm'], abs=1e-9,
        )


def test_fdnm_default_reduction_is_the_mean():
    output, pids, modality = network_output(0)
    assert float(FDNMLoss()(output, pids, modality)[1]['cnm']) == \
        pytest.approx(reference.fdnm_parts(*output, pids, modality)['cnm'], abs=1e-9)


def test_fdnm_float32():
    output, pids, modality = network_output(1, dtype=torch.float32)
    total, parts = FDNMLoss()(output, pids, modality)
    expected = reference.fdnm_parts(*output, pids, modality)
    for name in expected:
        assert float(parts[name]) == pytest.approx(expected[name], rel=1e-5, abs=1e-5)
    assert number(total) == pytest.approx(expected['id'] + expected['tri'] + 0.5 * expected['cnm'], rel=1e-5)


def test_fdnm_one_branch_has_no_cnm():
    output, pids, modality = network_output(2, branches=1)
    total, parts = FDNMLoss()(output, pids, modality)
    expected = reference.fdnm_parts(*output, pids, modality)
    assert float(parts.get('cnm', 0.0)) == 0
    assert float(parts['id']) == pytest.approx(expected['id'], abs=1e-9)
    assert float(parts['tri']) == pytest.approx(expected['tri'], abs=1e-9)
    assert number(total) == pytest.approx(expected['id'] + expected['tri'], abs=1e-9)


def test_fdnm_does_not_depend_on_the_order():
    output, pids, modality = network_output(3)
    order = torch.randperm(len(pids), generator=torch.Generator().manual_seed(0))
    shuffled = FDNMOutput(output.features[order], output.logits[order])
    assert number(FDNMLoss()(shuffled, pids[order], modality[order])[0]) == \
        pytest.approx(number(FDNMLoss()(output, pids, modality)[0]), abs=1e-12)


def test_fdnm_gradients():
    output, pids, modality = network_output(4, heads=2, dim=3)

    def total(features, logits):
        return FDNMLoss(margin_cnm=2.0, margin_tri=2.0)(FDNMOutput(features, logits), pids, modality)[0]

    leaves = [t.clone().requires_grad_() for t in output]
    assert torch.autograd.gradcheck(total, leaves, eps=1e-6, atol=1e-6)
    # identity initialisation: both branches equal
    twin = output.features[:, :1].expand(-1, 2, -1, -1).clone().requires_grad_()
    for features in (twin, torch.zeros_like(twin, requires_grad=True), torch.ones_like(twin, requires_grad=True)):
        grad, = torch.autograd.grad(total(features, output.logits), features)
        assert grad.isfinite().all()


@pytest.mark.parametrize('offset', [0.0, 3.0])
def test_fdnm_inside_autocast(offset):
    # training steps run under bf16 autocast: float32 features keep their losses there. A product of bf16 matrices
    # would round the centres, and pick other triplets
    output, pids, modality = network_output(7, dtype=torch.float32)
    output = FDNMOutput(output.features * 0.1 + offset, output.logits)
    expected = reference.fdnm_parts(*output, pids, modality)
    with torch.autocast('cpu', torch.bfloat16):
        _, parts = FDNMLoss()(output, pids, modality)
    assert {name: float(part) for name, part in parts.items()} == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize('where', ['features', 'logits'])
@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_fdnm_non_finite_parts_are_named(where, value):
    output, pids, modality = network_output(5)
    bad = {name: t.clone() for name, t in output._asdict().items()}
    bad[where][2, 1, 0, 1] = value
    with pytest.raises(FloatingPointError, match='tri|cnm' if where == 'features' else r'\bid\b|L_id'):
        FDNMLoss()(FDNMOutput(**bad), pids, modality)


def test_fdnm_nan_in_one_branch_only_features():
    output, pids, modality = network_output(5, branches=1)
    features = output.features.clone()
    features[0, 0, 0, 0] = math.nan
    with pytest.raises(FloatingPointError, match='tri'):
        FDNMLoss()(FDNMOutput(features, output.logits), pids, modality)


def test_fdnm_errors():
    output, pids, modality = network_output(6)
    with pytest.raises(ValueError, match=r'\b12\b'):
        FDNMLoss()(output, torch.where(pids == 11, 12, pids), modality)  # 12 classes: 0..11
    with pytest.raises(ValueError, match='-1'):
        FDNMLoss()(output, torch.where(pids == 11, -1, pids), modality)
    with pytest.raises(ValueError, match='pids'):
        FDNMLoss()(output, pids[:-1], modality)
    with pytest.raises(ValueError, match='modality'):
        FDNMLoss()(output, pids, modality[:-1])
    missing = modality.clone()
    missing[pids == 7] = 0
    with pytest.raises(ValueError, match=r'\b7\b'):
        FDNMLoss()(output, pids, missing)
    with pytest.raises(ValueError, match='average'):
        FDNMLoss(cnm_reduction='average')


@pytest.mark.parametrize('scale', [1., 37.])
def test_fdnm_cnm_on_unit_vectors(scale: float) -> None:
    """With cnm_normalize, L_cnm is that of the normalised features, whatever their size."""
    generator = torch.Generator().manual_seed(3)
    features = scale * torch.randn(12, 2, 3, 8, generator=generator, dtype=torch.float64)
    output = FDNMOutput(features, torch.randn(12, 2, 3, 4, generator=generator, dtype=torch.float64))
    pids, modality = torch.arange(3).repeat(4), torch.arange(2).repeat_interleave(6)
    unit = FDNMOutput(features / features.norm(dim=-1, keepdim=True), output.logits)
    _, parts = FDNMLoss(cnm_normalize=True)(output, pids, modality)
    _, expected = FDNMLoss()(unit, pids, modality)
    assert parts['cnm'].item() == pytest.approx(expected['cnm'].item(), abs=1e-12)
