import doctest
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fdnm_timm.metrics import ROC, VerificationResult, rank, verification

FARS = (1.0, 0.999, 0.5, 0.29, 0.1, 0.07, 0.03, 0.01, 0.001, 0.0001)


def problem(seed: int, queries: int = 15, gallery: int = 40, identities: int = 8, levels: int = 30, gap: float = 3):
    """Similarities of few levels, genuine ones somewhat larger; one query's identity is not in the gallery."""
    rng = np.random.default_rng(seed)
    q_pids, g_pids = rng.integers(0, identities, queries) * 7, rng.integers(0, identities, gallery) * 7
    q_pids[0] = 1000
    similarity = rng.normal(scale=2, size=(queries, gallery)) + gap * (q_pids[:, None] == g_pids)
    return np.round(similarity * levels / 10) / 16, q_pids, g_pids


def sweep(similarity, q_pids, g_pids):
    """(threshold, accepted impostor pairs, accepted genuine pairs) for every distinct similarity and above all."""
    genuine, impostor = [], []
    for q, q_pid in enumerate(q_pids):
        for g, g_pid in enumerate(g_pids):
            (genuine if q_pid == g_pid else impostor).append(float(similarity[q, g]))
    points = []
    for threshold in [*sorted({*genuine, *impostor}), float('inf')]:
        points.append((threshold, sum(s >= threshold for s in impostor), sum(s >= threshold for s in genuine)))
    return points, len(impostor), len(genuine)


def first_ranks(similarity, q_pids, g_pids):
    """Whether the first of the most similar images is right, for every query with a match."""
    right = []
    for row, q_pid in zip(similarity, q_pids, strict=True):
        if any(g_pid == q_pid for g_pid in g_pids):
            best = max(range(len(row)), key=lambda g: (row[g], -g))
            right.append(bool(g_pids[best] == q_pid))
    return right


def accepted(similarity, q_pids, g_pids, threshold):
    """FAR and VR of a threshold, from the pairs."""
    passed, own = np.asarray(similarity) >= threshold, np.asarray(q_pids)[:, None] == np.asarray(g_pids)
    return passed[~own].mean(), passed[own].mean()


def check(got, similarity, q_pids, g_pids, fars=FARS):
    assert isinstance(got, VerificationResult)
    assert got._fields == (
        'rank1', 'vr', 'thresholds', 'roc', 'num_genuine', 'num_impostor', 'n_valid', 'warnings')
    points, num_impostor, num_genuine = sweep(similarity, q_pids, g_pids)
    assert (got.num_genuine, got.num_impostor) == (num_genuine, num_impostor)
    right = first_ranks(similarity, q_pids, g_pids)
    assert got.n_valid == len(right) and got.rank1 == sum(right) / len(right)
    assert list(got.vr) == list(got.thresholds) == list(fars)
    for far in fars:
        best = max(hits / num_genuine for _, wrong, hits in points if wrong / num_impostor <= far)
        assert got.vr[far] == best and type(got.vr[far]) is type(got.thresholds[far]) is float
        far_there, vr_there = accepted(similarity, q_pids, g_pids, got.thresholds[far])
        assert far_there <= far and vr_there == best
        # what is just below the threshold has to be rejected
        below = [point for point in points if point[0] < got.thresholds[far]]
        assert not below or below[-1][1] / num_impostor > far
    assert len(got.warnings) == sum(far * num_impostor < 1 for far in fars)
    check_roc(got, similarity, q_pids, g_pids, points)


def check_roc(got, similarity, q_pids, g_pids, points=None):
    roc = got.roc
    assert isinstance(roc, ROC) and roc._fields == ('far', 'tpr', 'threshold')
    assert all(isinstance(v, np.ndarray) and v.dtype == np.float64 and v.shape == roc.far.shape for v in roc)
    assert (np.diff(roc.far) >= 0).all() and (np.diff(roc.tpr) >= 0).all() and (np.diff(roc.threshold) < 0).all()
    assert (roc.far[0], roc.tpr[0], roc.far[-1], roc.tpr[-1]) == (0, 0, 1, 1)
    pairs = list(zip(roc.far, roc.tpr, strict=True))
    assert len(set(pairs)) == len(pairs)
    for far, tpr, threshold in zip(*roc, strict=True):
        assert accepted(similarity, q_pids, g_pids, threshold) == (far, tpr)
    for far, threshold in got.thresholds.items():
        # where all pairs are accepted
        at = int(np.flatnonzero(roc.threshold == threshold)[0])
        assert roc.tpr[at] == got.vr[far] and roc.far[at] <= far
    if points is not None:
        # few pairs: for each FAR that can be had, the largest TPR
        best = {}
        for _, wrong, hits in points:
            best[wrong / got.num_impostor] = max(hits / got.num_genuine, best.get(wrong / got.num_impostor, 0))
        assert sorted(best.items()) == [pair for pair in pairs if pair != (0, 0) or best[0] == 0]


def convert(similarity, kind):
    array = similarity.astype(kind.removeprefix('torch.'))
    return torch.from_numpy(array) if kind.startswith('torch.') else array


# ------------------------------------------------------------------------------- agreement

@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('kind', ['float64', 'float32', 'float16', 'torch.float32', 'torch.float64'])
def test_equals_a_sweep_with_ties(seed, kind):
    similarity, q_pids, g_pids = problem(seed, queries=8)
    assert len(np.unique(similarity)) < similarity.size / 3
    check(verification(convert(similarity, kind), q_pids, g_pids, FARS), similarity, q_pids, g_pids)


@pytest.mark.parametrize('shape', [
    dict(queries=3, gallery=2, identities=2),
    dict(queries=9, gallery=12, identities=2, levels=0),
    dict(queries=9, gallery=12, identities=2, levels=1),
    dict(queries=4, gallery=60, identities=30),
    dict(queries=8, gallery=25, identities=1),
    dict(queries=8, gallery=25, identities=5, levels=1e7),
    dict(queries=8, gallery=25, identities=5, gap=-3),
    dict(queries=8, gallery=25, identities=5, gap=100),
], ids=str)
@pytest.mark.parametrize('kind', ['float64', 'float32'])
def test_equals_a_sweep_on_other_shapes(shape, kind):
    similarity, q_pids, g_pids = problem(5, **shape)
    similarity = convert(similarity, kind)
    for chunk_size in (1, 3, None):
        got = verification(similarity, q_pids, g_pids, FARS, chunk_size=chunk_size)
        check(got, similarity, q_pids, g_pids)


@pytest.mark.parametrize('kind', ['float32', 'float64'])
def test_neighbouring_numbers_are_told_apart(kind):
    # the last bits of a similarity decide, around 0 and 1 and for very small and large ones
    rng = np.random.default_rng(0)
    for centre in (0.0, 1.0, -1.0, 0.7, 1e-30, -1e30):
        values = np.full(11, centre, dtype=kind)
        for i in range(5):
            values[:i + 1] = np.nextafter(values[:i + 1], values.dtype.type(-np.inf))
            values[-i - 1:] = np.nextafter(values[-i - 1:], values.dtype.type(np.inf))
        assert (np.diff(values) > 0).all()
        similarity = rng.choice(values, (6, 20))
        q_pids, g_pids = rng.integers(0, 3, 6), np.arange(20) % 3
        check(verification(similarity, q_pids, g_pids, FARS), similarity, q_pids, g_pids)


@pytest.mark.parametrize('kind', ['float32', 'float64'])
def test_each_bit_counts(kind):
    # pairs that are apart in few bits, the genuine ones above, between or below the impostors
    steps = 0.5 + 0.5 ** np.arange(2, 24 if kind == 'float32' else 53)
    for sign in (-1, 1):
        for genuine in range(0, len(steps) - 1, 5):
            similarity = sign * steps[None].astype(kind)
            g_pids = np.where(np.arange(len(steps)) % 5 == genuine % 5, 1, 2)
            g_pids[:genuine + 1] = 1
            check(verification(similarity, [1], g_pids, FARS), similarity, [1], g_pids)


def test_all_magnitudes():
    rng = np.random.default_rng(1)
    similarity = rng.choice([-1, 1], (8, 25)) * 10.0 ** rng.integers(-300, 300, (8, 25))
    similarity[0, :2] = np.finfo(np.float64).max, -np.finfo(np.float64).max
    q_pids, g_pids = rng.integers(0, 3, 8), np.arange(25) % 3
    check(verification(similarity, q_pids, g_pids, FARS), similarity, q_pids, g_pids)


@pytest.mark.parametrize('kind', ['float16', 'float32', 'float64'])
def test_negative_zero_ties_with_zero(kind):
    similarity = np.array([[0.0, -0.0, -0.0, 0.0, -1.0, 1.0]]).repeat(4, axis=0).astype(kind)
    q_pids, g_pids = [0, 1, 1, 0], [1, 0, 1, 0, 1, 0]
    got = verification(similarity, q_pids, g_pids, FARS)
    check(got, similarity, q_pids, g_pids)
    check(verification(-similarity, q_pids, g_pids, FARS), -similarity, q_pids, g_pids)


@pytest.mark.parametrize('kind', ['int64', 'int8', 'uint8', 'bool'])
def test_integers(kind):
    similarity, q_pids, g_pids = problem(2, queries=8)
    similarity = np.clip(np.round(similarity * 16) + 20, 0, 100).astype(kind)
    if kind == 'int64':
        similarity += 2 ** 40  # float32 would make ties of them
    check(verification(similarity, q_pids, g_pids, FARS), similarity, q_pids, g_pids)


def test_lists_views_and_bfloat16():
    similarity, q_pids, g_pids = problem(3, queries=8)
    expected = verification(similarity, q_pids, g_pids)
    for other in (similarity.tolist(), np.asfortranarray(similarity), torch.from_numpy(similarity.T.copy()).t(),
                  torch.from_numpy(similarity).requires_grad_(), similarity[::-1, ::-1].copy()[::-1, ::-1]):
        got = verification(other, q_pids.tolist(), torch.from_numpy(g_pids))
        assert got[:3] == expected[:3] and got[4:] == expected[4:]
    brain = torch.from_numpy(similarity).bfloat16()
    check(verification(brain, q_pids, g_pids, FARS), brain.float().numpy(), q_pids, g_pids)


def test_order_of_the_pairs_changes_nothing_but_ties_of_rank_one():
    similarity, q_pids, g_pids = problem(4)
    expected = verification(similarity, q_pids, g_pids, FARS)
    rows, columns = np.random.default_rng(0).permutation(15), np.random.default_rng(1).permutation(40)
    got = verification(similarity[rows][:, columns], q_pids[rows], g_pids[columns], FARS)
    assert (got.vr, got.thresholds, got.num_genuine) == (expected.vr, expected.thresholds, expected.num_genuine)
    for a, b in zip(got.roc, expected.roc, strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------------------- many pairs

@pytest.fixture(scope='module')
def large():
    rng = np.random.default_rng(0)
    q_pids, g_pids = rng.integers(0, 50, 400), rng.integers(0, 50, 500)
    similarity = np.tanh(rng.normal(size=(400, 500)) * 0.3 + 0.5 * (q_pids[:, None] == g_pids))
    return similarity, q_pids, g_pids


@pytest.mark.parametrize('kind', ['float16', 'float32', 'float64'])
def test_many_pairs(large, kind):
    similarity, q_pids, g_pids = large
    similarity = similarity.astype(kind)
    fars = (0.5, 0.01, 0.001, 0.0001, 0.000001)
    own = q_pids[:, None] == g_pids
    genuine, impostor = np.sort(similarity[own]), np.sort(similarity[~own])
    values = np.append(np.unique(similarity), np.inf)
    wrong = len(impostor) - np.searchsorted(impostor, values)
    hits = len(genuine) - np.searchsorted(genuine, values)
    for chunk_size in (None, 37):
        got = verification(similarity, q_pids, g_pids, fars, chunk_size=chunk_size)
        for far in fars:
            assert got.vr[far] == hits[wrong / len(impostor) <= far].max() / len(genuine)
            assert accepted(similarity, q_pids, g_pids, got.thresholds[far])[1] == got.vr[far]
        assert got.rank1 == (g_pids[similarity.argmax(axis=1)] == q_pids).mean()
        assert len(got.warnings) == 1 and '1e-06' in got.warnings[0]
    check_roc(got, similarity, q_pids, g_pids)
    # thinned, but dense by FAR, and each point the best of its FAR
    roc = got.roc
    assert 200 < len(roc.far) <= 256 + 128 + len(fars) + 2
    if kind != 'float16':
        assert np.diff(roc.far).max() < 0.01
        assert (roc.far[roc.far > 1e-3][1:] / roc.far[roc.far > 1e-3][:-1]).max() < 1.06
    for far, tpr in zip(roc.far[1:], roc.tpr[1:], strict=True):
        assert tpr == hits[wrong / len(impostor) <= far].max() / len(genuine)


def test_every_point_of_the_curve_of_384_impostor_pairs():
    # and of more, which thin it
    rng = np.random.default_rng(0)
    for num_gallery in (385, 386, 2000):
        similarity, g_pids = rng.normal(size=(1, num_gallery)), [1, *[2] * (num_gallery - 1)]
        got = verification(similarity, [1], g_pids, fars=())
        assert got.vr == {} and got.thresholds == {} and got.warnings == []
        check_roc(got, similarity, [1], g_pids)
        # a point for each number of accepted impostor pairs, and the upper left one
        top = int(similarity[0, 0] > similarity[0, 1:].max())
        if num_gallery == 385:
            assert len(got.roc.far) == 384 + 1 + top
        else:
            assert 200 < len(got.roc.far) <= 256 + 128 + 2


# ------------------------------------------------------------------------------- operating points

def test_by_hand():
    # genuine .9 .6 .6 .2, impostor .8 .6 .5 .4 .3 .1 .1 .1 .1 .1
    similarity = np.array([[0.9, 0.8, 0.6, 0.5, 0.4, 0.3, 0.1], [0.6, 0.6, 0.1, 0.2, 0.1, 0.1, 0.1]])
    q_pids, g_pids = [1, 2], [1, 2, 1, 2, 3, 4, 5]
    got = verification(similarity, q_pids, g_pids, fars=(0.1, 0.2, 0.05, 1))
    assert (got.num_genuine, got.num_impostor, got.n_valid, got.rank1) == (4, 10, 2, 0.5)
    # 0.1 lets .8 pass but not the impostor at .6, and with it not the genuine ones that tie
    assert got.vr == {0.1: 0.25, 0.2: 0.75, 0.05: 0.25, 1.0: 1.0}
    assert got.thresholds == {
        0.1: np.nextafter(0.6, 1), 0.2: np.nextafter(0.5, 1), 0.05: np.nextafter(0.8, 1), 1.0: 0.1}
    assert got.warnings == [
        'FAR 0.05 is below 1 / 10, the smallest that 10 impostor pairs resolve: VR is that of FAR 0.']
    assert got.roc.far.tolist() == [0, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 1]
    assert got.roc.tpr.tolist() == [0, 0.25, 0.25, 0.75, 0.75, 0.75, 1, 1]


def test_far_is_a_fraction_and_not_a_rounded_product():
    # 0.29 * 100 is 28.999999999999996, 0.57 * 100 is 56.99999999999999, 0.07 * 100 is 7.000000000000001, and the number
    # below 0.05 times 100 is 5
    similarity = np.arange(101)[None, ::-1] / 128
    g_pids = [2] * 100 + [1]
    for far, number in ((0.29, 29), (0.07, 7), (0.1 + 0.2, 30), (0.57, 57), (0.58, 58), (0.3 - 1e-12, 29), (0.01, 1),
                        (np.nextafter(0.05, 0), 4)):
        got = verification(similarity, [1], g_pids, fars=(far,))
        assert accepted(similarity, [1], g_pids, got.thresholds[far]) == (number / 100, 0) and not got.warnings
    assert len(verification(similarity, [1], g_pids, fars=(0.01 - 1e-12,)).warnings) == 1


@pytest.mark.parametrize('kind', ['float32', 'float64'])
def test_perfect_separation(kind):
    pids = np.arange(6)
    similarity = np.where(np.eye(6) > 0, 0.75, 0.25).astype(kind)
    got = verification(similarity, pids, pids)
    assert got.rank1 == 1 and set(got.vr.values()) == {1}
    assert all(0.25 < threshold <= 0.75 for threshold in got.thresholds.values())
    assert got.roc.far.tolist() == [0, 0, 1] and got.roc.tpr.tolist() == [0, 1, 1]
    assert [w.split(' is')[0] for w in got.warnings] == ['FAR 0.01', 'FAR 0.001', 'FAR 0.0001']
    worst = verification(-similarity, pids, pids)
    assert worst.rank1 == 0 and set(worst.vr.values()) == {0}
    assert worst.roc.far.tolist() == [0, 1] and worst.roc.tpr.tolist() == [0, 1]


def test_equal_similarities():
    # all or none: no target below 1 accepts anything; Rank-1 goes by the gallery's order
    got = verification(np.full((4, 50), 0.5), [1, 2, 3, 4], np.arange(50) % 5 + 1, fars=(1.0, 0.99, 0.1))
    assert got.vr == {1.0: 1.0, 0.99: 0.0, 0.1: 0.0} and got.rank1 == 0.25
    assert got.thresholds == {1.0: 0.5, 0.99: np.nextafter(0.5, 1), 0.1: np.nextafter(0.5, 1)}
    assert got.roc.far.tolist() == [0, 1] and got.roc.tpr.tolist() == [0, 1] and not got.warnings


def test_one_genuine_and_one_impostor():
    for similarity, vr in (([[0.2, 0.1]], 1), ([[0.1, 0.1]], 0), ([[0.1, 0.2]], 0)):
        got = verification(similarity, [1], [1, 2], fars=(0.5, 1))
        assert got.vr == {0.5: vr, 1.0: 1} and (got.num_genuine, got.num_impostor) == (1, 1)
        assert got.rank1 == (similarity[0][0] >= similarity[0][1]) and len(got.warnings) == 1


def test_queries_without_a_match():
    similarity, q_pids, g_pids = problem(6)
    whole = verification(similarity, q_pids, g_pids)
    kept = verification(similarity[1:], q_pids[1:], g_pids)
    assert whole.n_valid == kept.n_valid == 14 and whole.rank1 == kept.rank1
    assert whole.num_genuine == kept.num_genuine and whole.num_impostor == kept.num_impostor + 40


# ------------------------------------------------------------------------------- embeddings, chunks

def embeddings(seed: int = 0, dim: int = 8):
    rng = np.random.default_rng(seed)
    _, q_pids, g_pids = problem(seed, queries=8)
    query = rng.normal(size=(len(q_pids), dim)) * rng.uniform(0.2, 5, (len(q_pids), 1))
    gallery = rng.normal(size=(len(g_pids), dim)) * rng.uniform(0.2, 5, (len(g_pids), 1))
    return query, gallery, q_pids, g_pids


def rounded_cosine(query, gallery):
    query, gallery = (np.asarray(e, dtype=np.float64) for e in (query, gallery))
    query = query / np.linalg.norm(query, axis=1, keepdims=True)
    gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    return (query @ gallery.T).astype(np.float32)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.float16], ids=str)
def test_embeddings_are_compared_by_cosine(dtype):
    for seed in range(3):
        query, gallery, q_pids, g_pids = embeddings(seed)
        query, gallery = (torch.from_numpy(e).to(dtype) for e in (query, gallery))
        cosine = rounded_cosine(query, gallery)
        for chunk_size in (1, 3, None):
            got = verification(
                query=query, gallery=gallery, q_pids=q_pids, g_pids=g_pids, fars=FARS, chunk_size=chunk_size)
            check(got, cosine, q_pids, g_pids)
        assert got.rank1 == rank(query, gallery, q_pids, g_pids).cmc[0]


def test_equal_embeddings_tie():
    # a collapsed model accepts all pairs or none, whatever the matrix product's kernel does at its blocks' edges
    g = torch.Generator().manual_seed(0)
    for num_gallery, dim in ((7, 5), (37, 64), (100, 200)):
        query = torch.randn(1, dim, generator=g).repeat(9, 1)
        gallery = torch.randn(1, dim, generator=g).repeat(num_gallery, 1)
        for chunk_size in (1, 2, 4, None):
            got = verification(
                query=query, gallery=gallery, q_pids=[0] * 9, g_pids=[0] * 3 + [1] * (num_gallery - 3),
                fars=(0.999, 1), chunk_size=chunk_size)
            assert got.vr == {0.999: 0, 1: 1} and got.roc.far.tolist() == [0, 1] and got.rank1 == 1


def test_no_tensor_is_larger_than_a_chunk():
    class Largest(TorchDispatchMode):
        bytes = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for value in out if isinstance(out, (tuple, list)) else [out]:
                if isinstance(value, torch.Tensor) and value.is_contiguous():
                    self.bytes = max(self.bytes, value.untyped_storage().nbytes())
            return out

    g = torch.Generator().manual_seed(0)
    query, gallery = torch.randn(300, 4, generator=g), torch.randn(30_000, 4, generator=g)
    labels = dict(zip(
        ('q_pids', 'g_pids'), (torch.randint(0, 3000, (n,), generator=g) for n in (300, 30_000)), strict=True))
    with Largest() as largest:
        verification(query=query, gallery=gallery, **labels)
    # the counts: of 2 ** 12 bins for each threshold that is searched for
    assert 8 << 20 < largest.bytes <= (256 + 128 + 3) * 2 * 8 << 12 < 300 * 30_000 * 4


MEMORY = """
import resource, torch
from fdnm_timm.metrics.verification import verification
g = torch.Generator().manual_seed(0)
query, gallery = torch.randn(3000, 16, generator=g), torch.randn(8000, 16, generator=g)
pids = dict(q_pids=torch.randint(0, 300, (3000,), generator=g), g_pids=torch.randint(0, 300, (8000,), generator=g))
few = {name: value[:40] for name, value in pids.items()}
verification(query=query[:40], gallery=gallery[:40], **few)
held = int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()
open('/proc/self/clear_refs', 'w').write('5')
result = verification(query=query, gallery=gallery, **pids)
peak = next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM')) * 1024
print(peak - held, result.num_genuine + result.num_impostor)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='reads the peak from /proc')
def test_memory_of_millions_of_pairs():
    run = subprocess.run([sys.executable, '-c', MEMORY], capture_output=True, text=True)
    if 'clear_refs' in run.stderr:
        pytest.skip('the peak cannot be set back here')
    assert run.returncode == 0, run.stderr
    peak, pairs = map(int, run.stdout.split())
    assert pairs == 24_000_000
    # what the docstring says; the matrix in float64 alone has 192 MB
    assert peak < 150e6


def test_nothing_global_is_touched(capsys):
    state, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
    similarity, q_pids, g_pids = problem(1)
    query, gallery, *labels = embeddings(1)
    given = similarity, q_pids, g_pids, query, gallery
    copies = [array.copy() for array in given]
    verification(similarity, q_pids, g_pids)
    verification(torch.from_numpy(similarity), torch.from_numpy(q_pids), torch.from_numpy(g_pids))
    verification(query=torch.from_numpy(query), gallery=torch.from_numpy(gallery), q_pids=labels[0], g_pids=labels[1])
    for array, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert torch.equal(torch.get_rng_state(), state) and (np.random.get_state()[1] == numbers).all()
    assert capsys.readouterr() == ('', '')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_gpu(large):
    for kind in ('float32', 'float64'):
        similarity, q_pids, g_pids = problem(2, queries=8)
        check(verification(torch.from_numpy(similarity.astype(kind)).cuda(), q_pids, g_pids, FARS),
              similarity, q_pids, g_pids)
        similarity, q_pids, g_pids = large
        similarity = similarity.astype(kind)
        here, there = (verification(s, q_pids, g_pids) for s in (similarity, torch.from_numpy(similarity).cuda()))
        assert here[:3] == there[:3] and here[4:] == there[4:]
        for a, b in zip(here.roc, there.roc, strict=True):
            np.testing.assert_array_equal(a, b)


def test_examples():
    failed, attempted = doctest.testmod(sys.modules['fdnm_timm.metrics.verification'])
    assert attempted and not failed


# ------------------------------------------------------------------------------- errors

@pytest.mark.parametrize('far', [0, -0.1, 1.001, float('nan'), 100])
def test_targets_outside(far):
    with pytest.raises(ValueError, match='fars') as error:
        verification(*problem(0), fars=(0.01, far))
    assert str(float(far)) in str(error.value) and '(0, 1]' in str(error.value)


def test_one_kind_of_pairs_only():
    similarity, q_pids, g_pids = problem(0)
    with pytest.raises(ValueError, match='600 pairs is genuine.*15 queries.*40 gallery'):
        verification(similarity, q_pids + 1, g_pids)
    with pytest.raises(ValueError, match='600 pairs is an impostor'):
        verification(similarity, q_pids * 0, g_pids * 0)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('convert', [np.asarray, torch.as_tensor])
def test_nan_and_infinity(value, convert):
    similarity, q_pids, g_pids = problem(0)
    similarity[3, 5] = value
    with pytest.raises(ValueError, match='similarity holds NaN'):
        verification(convert(similarity), q_pids, g_pids)
    for poisoned, name in enumerate(('query', 'gallery')):
        query, gallery, q_pids, g_pids = embeddings()
        (query, gallery)[poisoned][2, 1] = value
        with pytest.raises(ValueError, match=f'{name} holds NaN'):
            verification(query=convert(query), gallery=convert(gallery), q_pids=q_pids, g_pids=g_pids)


def test_shapes():
    similarity, q_pids, g_pids = problem(0)
    with pytest.raises(ValueError, match=r'similarity has shape \[15\]'):
        verification(similarity[:, 0], q_pids, g_pids)
    with pytest.raises(ValueError, match='q_pids'):
        verification(similarity, q_pids[:-1], g_pids)
    with pytest.raises(ValueError, match='g_pids'):
        verification(similarity, q_pids, g_pids[:-1])
    with pytest.raises(ValueError, match='no pairs'):
        verification(similarity[:0], q_pids[:0], g_pids)
    with pytest.raises(ValueError, match='no pairs'):
        verification(similarity[:, :0], q_pids, g_pids[:0])
    query, gallery, *labels = embeddings()
    for pair in ((query, gallery[:, :7]), (query[0], gallery), (query, gallery[:, 0])):
        with pytest.raises(ValueError, match='query has shape'):
            verification(None, *labels, query=pair[0], gallery=pair[1])
    with pytest.raises(ValueError, match='no pairs'):
        verification(None, labels[0][:0], labels[1], query=query[:0], gallery=gallery)


def test_missing_and_double_input():
    similarity, q_pids, g_pids = problem(0)
    query, gallery, *_ = embeddings()
    for given in ({}, {'query': query}, {'gallery': gallery},
                  {'similarity': similarity, 'query': query, 'gallery': gallery}):
        with pytest.raises(ValueError, match='either similarity, or query and gallery'):
            verification(q_pids=q_pids, g_pids=g_pids, **given)
    for labels in ({}, {'q_pids': q_pids}, {'g_pids': g_pids}):
        with pytest.raises(ValueError, match='q_pids and g_pids are needed'):
            verification(similarity, **labels)
    with pytest.raises(ValueError, match='chunk_size is 0'):
        verification(similarity, q_pids, g_pids, chunk_size=0)
