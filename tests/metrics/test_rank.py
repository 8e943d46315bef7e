import inspect

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fdnm_timm.metrics import rank, rank_queries, retrieve
from tests import reference

RULES = [None, 'same_camera', 'sysu_mm01']
KINDS = ['image', 'identity']


def problem(seed: int, queries: int = 15, gallery: int = 40, identities: int = 8, levels: int = 6):
    """distmat of small integers (ties everywhere), pids, camids 1-6; one query's identity is not in the gallery."""
    rng = np.random.default_rng(seed)
    distmat = rng.integers(0, levels, (queries, gallery)).astype(np.float64)
    q_pids, g_pids = rng.integers(0, identities, queries) * 7, rng.integers(0, identities, gallery) * 7
    q_pids[0] = 1000
    return distmat, q_pids, g_pids, rng.integers(1, 7, queries), rng.integers(1, 7, gallery)


def call(distmat, q_pids, g_pids, q_camids=None, g_camids=None, **kwargs):
    return rank(q_pids=q_pids, g_pids=g_pids, q_camids=q_camids, g_camids=g_camids, distmat=distmat, **kwargs)


def check(got, expected, atol=1e-9):
    assert got._fields == ('cmc', 'mAP', 'mINP', 'n_valid')
    curve = np.asarray(got.cmc, dtype=np.float64)
    assert curve.ndim == 1 and len(curve)
    # the curve may stop early or go on: what lies beyond the shorter one must have reached its end
    shared = min(len(curve), len(expected.cmc))
    np.testing.assert_allclose(curve[:shared], expected.cmc[:shared], rtol=0, atol=atol)
    np.testing.assert_allclose(curve[shared:], 1, rtol=0, atol=atol)
    np.testing.assert_allclose(expected.cmc[shared:], 1, rtol=0, atol=atol)
    assert float(got.mAP) == pytest.approx(expected.mAP, abs=atol)
    assert float(got.mINP) == pytest.approx(expected.mINP, abs=atol)
    assert int(got.n_valid) == expected.n_valid


# ------------------------------------------------------------------------------- the reference, by hand

def test_reference_by_hand():
    # one query of identity 1, camera 3; the ranking is (pid, camera) = 2/2, 1/3, 2/1, 3/1, 1/1, 1/2
    distmat = np.array([[0.2, 0.1, 0.3, 0.3, 0.5, 0.6]])
    g_pids, g_camids = [1, 2, 2, 3, 1, 1], [3, 2, 1, 1, 1, 2]
    args = distmat, [1], g_pids, [3], g_camids
    plain = reference.rank(*args, cmc='image')
    assert plain.cmc.tolist() == [0, 1, 1, 1, 1, 1]
    assert plain.mAP == pytest.approx((1 / 2 + 2 / 5 + 3 / 6) / 3) and plain.mINP == pytest.approx(3 / 6)
    assert reference.rank(*args, rule='sysu_mm01').mAP == pytest.approx((1 / 1 + 2 / 4) / 2)
    same = reference.rank(*args, rule='same_camera', cmc='image')
    assert same.mAP == pytest.approx((1 / 4 + 2 / 5) / 2) and same.cmc.tolist() == [0, 0, 0, 1, 1, 1]
    assert reference.rank(*args, rule='same_camera', cmc='identity').cmc.tolist() == [0, 0, 1, 1, 1, 1]


# ------------------------------------------------------------------------------- agreement

@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('cmc', KINDS)
def test_equals_reference_with_ties(seed, rule, cmc):
    args = problem(seed)
    expected = reference.rank(*args, rule=rule, cmc=cmc)
    assert expected.n_valid < len(args[1])
    check(call(*args, rule=rule, cmc=cmc), expected)
    check(call(*(torch.from_numpy(a) for a in args), rule=rule, cmc=cmc), expected)


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('cmc', KINDS)
@pytest.mark.parametrize('shape', [
    dict(queries=6, gallery=3, identities=2),
    dict(queries=9, gallery=12, identities=2, levels=1),  # one big tie: the order is the gallery's
    dict(queries=30, gallery=90, identities=30),
    dict(queries=5, gallery=200, identities=3, levels=2),
], ids=str)
def test_equals_reference_on_other_shapes(rule, cmc, shape):
    args = problem(7, **shape)
    check(call(*args, rule=rule, cmc=cmc), reference.rank(*args, rule=rule, cmc=cmc))


@pytest.mark.parametrize('cmc', KINDS)
def test_float32_and_integer_distances(cmc):
    args = problem(3)
    expected = reference.rank(*args, cmc=cmc)
    for kind in (np.float32, np.float64, np.int64):
        check(call(args[0].astype(kind), *args[1:], cmc=cmc), expected)
    check(call(torch.from_numpy(args[0]).float(), *args[1:], cmc=cmc), expected)
    # distances that float32 cannot tell apart are apart in float64
    close = 1 + args[0] * 1e-12
    check(call(close, *args[1:], cmc=cmc), expected)


def test_negative_distances_rank_like_any_other():
    args = problem(3)
    expected = reference.rank(*args)
    check(call(args[0] - 100, *args[1:]), expected)


def test_default_kind_is_identity():
    args = problem(4)
    identity, image = (reference.rank(*args, cmc=kind) for kind in ('identity', 'image'))
    assert not np.allclose(identity.cmc, image.cmc)
    check(call(*args), identity)


def test_rules_matter():
    # what the comparisons rest on: on these problems every rule gives its own result
    values = {reference.rank(*problem(0), rule=rule).mAP for rule in RULES}
    assert len(values) == 3


def test_sysu_rule_ignores_the_identity():
    # camera 2 disappears for camera 3 only, right and wrong identities alike
    distmat = np.array([[0.0, 1.0, 2.0, 3.0]] * 2)
    got = call(distmat, [1, 1], [2, 1, 2, 1], [3, 6], [2, 2, 1, 1], rule='sysu_mm01', cmc='image')
    # camera 3 sees 2, 1 -> AP 1/2; camera 6 sees 2, 1, 2, 1 -> (1/2 + 2/4) / 2
    assert float(got.mAP) == pytest.approx((1 / 2 + 1 / 2) / 2)
    np.testing.assert_allclose(np.asarray(got.cmc)[:2], [0, 1])
    only = call(distmat[:1], [1], [2, 1, 2, 2], [3], [1, 2, 1, 2], rule=None)
    assert int(only.n_valid) == 1
    with pytest.raises(ValueError, match='match'):  # its only match is on camera 2
        call(distmat[:1], [1], [2, 1, 2, 2], [3], [1, 2, 1, 2], rule='sysu_mm01')


def test_rule_none_ignores_cameras():
    args = problem(5)
    check(call(*args[:3]), reference.rank(*args[:3]))
    check(call(*args), reference.rank(*args[:3]))


def test_queries_without_a_match_are_dropped():
    distmat, q_pids, g_pids, *_ = problem(6)
    whole = call(distmat, q_pids, g_pids)
    keep = np.isin(q_pids, g_pids)
    assert not keep.all()
    kept = call(distmat[keep], q_pids[keep], g_pids)
    assert int(whole.n_valid) == int(kept.n_valid) == keep.sum()
    assert float(whole.mAP) == pytest.approx(float(kept.mAP), abs=1e-12)
    assert float(whole.mINP) == pytest.approx(float(kept.mINP), abs=1e-12)
    np.testing.assert_allclose(np.asarray(whole.cmc), np.asarray(kept.cmc))


def test_results_are_fractions():
    perfect = call(np.array([[0.0, 1.0], [1.0, 0.0]]), [4, 5], [4, 5])
    assert float(perfect.mAP) == float(perfect.mINP) == 1 and np.asarray(perfect.cmc).tolist()[0] == 1
    curve = np.asarray(call(*problem(8), cmc='image').cmc)
    assert (np.diff(curve) >= 0).all() and curve[-1] <= 1


# ------------------------------------------------------------------------------- the benchmarks' own definitions

def benchmark(
        seed: int,
        q_cameras=(3, 6),
        g_cameras=(1, 2, 4, 5),
        identities: int = 12,
        shots: int = 1,
        queries: int = 30,
        levels: int = 25,
):
    """`shots` images per identity and camera in the gallery, about a third of the cameras missing; tied distances."""
    rng = np.random.default_rng(seed)
    seen = [(i, c) for i in range(identities) for c in g_cameras if rng.random() < 0.65] or [(0, g_cameras[0])]
    labels = np.repeat(rng.permutation(seen), shots, axis=0) * [11, 1] + [3, 0]
    q_pids, q_camids = rng.integers(0, identities, queries) * 11 + 3, rng.choice(q_cameras, queries)
    q_pids[0] = labels[0, 0]
    q_pids[-1] = 2  # not in the gallery
    distmat = rng.integers(0, levels, (queries, len(labels))) - levels / 4 * (q_pids[:, None] == labels[:, 0])
    return np.round(distmat), q_pids, labels[:, 0].copy(), q_camids, labels[:, 1].copy()


GALLERIES = [
    dict(identities=12), dict(identities=40, queries=20), dict(identities=12, shots=10), dict(identities=12, levels=1),
    dict(identities=25, shots=10, queries=10), dict(identities=2), dict(identities=1), dict(identities=1, shots=10),
]


@pytest.mark.parametrize('g_cameras', [(1, 2, 4, 5), (1, 2)], ids=['all', 'indoor'])
@pytest.mark.parametrize('shape', GALLERIES, ids=str)
def test_sysu_mm01_as_its_own_code_defines_it(shape, g_cameras):
    for seed in range(3):
        args = benchmark(seed, g_cameras=g_cameras, **shape)
        curve, precision = reference.sysu_mm01_official(*(a if a.ndim == 2 else a.tolist() for a in args))
        got = call(*args, rule='sysu_mm01', cmc='identity')
        assert len(got.cmc) == len(curve) == len(set(args[2]))
        np.testing.assert_allclose(got.cmc, curve, rtol=0, atol=1e-12)
        assert got.mAP == pytest.approx(precision, abs=1e-12)


@pytest.mark.parametrize('name, rule, cmc, q_cameras, g_cameras', [
    ('sysu', 'sysu_mm01', 'identity', (3, 6), (1, 2, 4, 5)),
    ('sysu', 'sysu_mm01', 'identity', (3, 6), (1, 2)),
    ('llcm', 'same_camera', 'identity', (1, 2, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 5, 6, 7, 8, 9)),
    ('regdb', None, 'image', (2,), (1,)),
])
@pytest.mark.parametrize('shape', GALLERIES, ids=str)
def test_equals_the_agw_family(shape, name, rule, cmc, q_cameras, g_cameras):
    for seed in range(2):
        args = benchmark(seed, q_cameras, g_cameras, **shape)
        expected = reference.agw_family(*args, benchmark=name)
        got = call(*args, rule=rule, cmc=cmc)
        shared = min(len(got.cmc), len(expected.cmc))
        np.testing.assert_allclose(got.cmc[:shared], expected.cmc[:shared], rtol=0, atol=1e-12)
        assert got[1:] == pytest.approx(expected[1:], abs=1e-12)
        check(got, reference.rank(*args, rule=rule, cmc=cmc), atol=1e-12)


def test_benchmark_problems_hold_what_they_should():
    # ties between right and wrong images, dropped queries, few and many matches
    distmat, q_pids, g_pids, q_camids, g_camids = benchmark(0)
    own = q_pids[:, None] == g_pids
    assert any(np.isin(d[o], d[~o]).any() for d, o in zip(distmat, own, strict=True))
    assert own.sum(axis=1).max() <= 4 and len(g_pids) > 20
    indoor = benchmark(0, g_cameras=(1, 2))
    dropped = len(indoor[1]) - reference.rank(*indoor, rule='sysu_mm01').n_valid
    assert dropped > (~np.isin(indoor[1], indoor[2])).sum() > 0  # some are seen by camera 2 only
    many = benchmark(0, shots=10)
    assert (many[1][:, None] == many[2]).sum(axis=1).max() > 2.7 * np.log2(len(many[2]))  # those are sorted


# ------------------------------------------------------------------------------- query by query

def check_queries(got, expected):
    assert got._fields == ('first', 'ap', 'inp', 'valid')
    assert [value.dtype for value in got] == [np.int64, np.float64, np.float64, np.bool_]
    assert all(isinstance(value, np.ndarray) and value.shape == (len(expected),) for value in got)
    assert got.valid.tolist() == [one.first is not None for one in expected]
    assert got.first.tolist() == [-1 if one.first is None else one.first - 1 for one in expected]
    for name in ('ap', 'inp'):
        wanted = [np.nan if getattr(one, name) is None else getattr(one, name) for one in expected]
        np.testing.assert_allclose(getattr(got, name), wanted, rtol=0, atol=1e-12)


def queries_of(distmat, q_pids, g_pids, q_camids=None, g_camids=None, **kwargs):
    return rank_queries(q_pids=q_pids, g_pids=g_pids, q_camids=q_camids, g_camids=g_camids, distmat=distmat, **kwargs)


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('cmc', KINDS)
@pytest.mark.parametrize('shape', [
    *GALLERIES, dict(g_cameras=(1, 2)), dict(q_cameras=range(1, 7), g_cameras=range(1, 7)),
], ids=str)
def test_every_query(rule, cmc, shape):
    args = benchmark(5, **shape)
    expected = reference.rank_queries(*args, rule=rule, cmc=cmc)
    got = queries_of(*args, rule=rule, cmc=cmc)
    check_queries(got, expected)
    for chunk_size in (1, 7, 10_000):  # in chunks of 1 each query is counted or sorted by itself
        for value, whole in zip(queries_of(*args, rule=rule, cmc=cmc, chunk_size=chunk_size), got, strict=True):
            np.testing.assert_array_equal(value, whole)
    summary = call(*args, rule=rule, cmc=cmc)
    assert summary.mAP == got.ap[got.valid].mean() and summary.mINP == got.inp[got.valid].mean()
    assert summary.n_valid == got.valid.sum() and summary.cmc[0] == (got.first[got.valid] == 0).mean()


@pytest.mark.parametrize('counts', [(1, 2, 40), (100,), (0, 1), (20, 21, 22, 23, 24, 25, 26)], ids=str)
@pytest.mark.parametrize('rule', RULES)
def test_few_and_many_matches(counts, rule):
    # around the number of matches from where the gallery is sorted, in one chunk and apart
    rng = np.random.default_rng(2)
    g_pids = rng.permutation(np.concatenate([np.repeat(i, n) for i, n in enumerate(counts)] + [np.arange(100, 300)]))
    q_pids = np.tile(np.arange(len(counts)), 3)
    cameras = rng.choice([2, 3], len(q_pids)), rng.choice([1, 2, 3], len(g_pids))
    for levels in (3, 10_000):
        distmat = rng.integers(0, levels, (len(q_pids), len(g_pids)))
        for cmc in KINDS:
            expected = reference.rank_queries(distmat, q_pids, g_pids, *cameras, rule=rule, cmc=cmc)
            for chunk_size in (1, 2, None):
                check_queries(
                    queries_of(distmat, q_pids, g_pids, *cameras, rule=rule, cmc=cmc, chunk_size=chunk_size), expected)


def test_no_query_needs_a_match():
    distmat, q_pids, g_pids, *cameras = problem(0)
    for rule in RULES:
        for cmc in KINDS:
            got = queries_of(distmat, q_pids + 1, g_pids, *cameras, rule=rule, cmc=cmc)
            check_queries(got, [reference.QueryRanking(None, None, None)] * len(q_pids))
    # each has an image, which the rule takes away
    check_queries(
        queries_of(distmat[:, :2], [7] * 15, [7, 7], [2] * 15, [2, 2], rule='same_camera'),
        [reference.QueryRanking(None, None, None)] * 15)
    with pytest.raises(ValueError, match='nothing to rank'):
        queries_of(distmat[:, :0], q_pids, g_pids[:0])
    with pytest.raises(ValueError, match='nothing to rank'):
        queries_of(distmat[:0], q_pids[:0], g_pids)


@pytest.mark.parametrize('cmc', KINDS)
def test_gallery_of_one_image(cmc):
    got = queries_of([[0.5], [0.1]], [4, 5], [5], cmc=cmc)
    check_queries(got, [reference.QueryRanking(None, None, None), reference.QueryRanking(1, 1.0, 1.0)])
    assert call([[0.5], [0.1]], [4, 5], [5], cmc=cmc).cmc.tolist() == [1]


def test_length_of_the_curve():
    args = benchmark(0, shots=10)
    assert len(call(*args, cmc='image').cmc) == len(args[2])
    assert len(call(*args, cmc='identity').cmc) == len(set(args[2])) < 20


def test_infinite_distances_are_the_farthest():
    for rule in RULES:
        args = problem(2)
        args[0][args[0] >= 4] = np.inf
        args[0][args[0] == 0] = -np.inf
        for cmc in KINDS:
            check_queries(queries_of(*args, rule=rule, cmc=cmc), reference.rank_queries(*args, rule=rule, cmc=cmc))


@pytest.mark.parametrize('kind', [np.float16, np.float32, np.int8, np.int32, np.int64, np.uint8, bool])
def test_types_of_distances(kind):
    args = problem(3)
    distmat = args[0].astype(kind)
    check_queries(queries_of(distmat, *args[1:]), reference.rank_queries(distmat, *args[1:]))


def test_large_integers_are_told_apart():
    args = problem(3)
    distmat = args[0].astype(np.int64) + 2 ** 60
    check_queries(queries_of(distmat, *args[1:]), reference.rank_queries(args[0], *args[1:]))
    np.testing.assert_array_equal(retrieve(distmat=distmat), retrieve(distmat=args[0]))


def test_labels_of_different_types():
    distmat, q_pids, g_pids, *_ = problem(3)
    expected = reference.rank_queries(distmat, q_pids, g_pids)
    check_queries(queries_of(distmat, q_pids.astype(np.int32), g_pids.tolist()), expected)
    check_queries(queries_of(distmat, torch.from_numpy(q_pids), g_pids.astype(np.int16)), expected)


def test_strided_distances():
    args = problem(3)
    expected = reference.rank_queries(*args)
    check_queries(queries_of(np.asfortranarray(args[0]), *args[1:]), expected)
    check_queries(queries_of(args[0][:, ::-1].copy()[:, ::-1], *args[1:]), expected)


# ------------------------------------------------------------------------------- retrieval

def retrieved(args, rule, top):
    """-1 fills up to min(top, G) places."""
    lists = [reference.ranking_of(q, *args, rule=rule)[:top] for q in range(len(args[0]))]
    return np.array([(row + [-1] * len(args[2]))[:min(top, len(args[2]))] for row in lists])


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('levels', [1, 3, 10, 10_000])
def test_retrieve(rule, levels):
    args = problem(1, levels=levels)
    labels = dict(zip(('q_pids', 'g_pids', 'q_camids', 'g_camids'), args[1:], strict=True))
    for top in (1, 3, 10, 39, 40, 50):
        expected = retrieved(args, rule, top)
        for chunk_size in (None, 1, 7):
            got = retrieve(**labels, rule=rule, top=top, distmat=args[0], chunk_size=chunk_size)
            assert got.dtype == np.int64
            np.testing.assert_array_equal(got, expected)
        for kind in (torch.float32, torch.int64):
            np.testing.assert_array_equal(
                retrieve(**labels, rule=rule, top=top, distmat=torch.from_numpy(args[0]).to(kind)), expected)
    assert retrieve(**labels, rule=rule, distmat=args[0]).shape == (15, 10)


@pytest.mark.parametrize('top', [1, 2, 3, 5, 6])
@pytest.mark.parametrize('kind', [np.float64, np.int64])
def test_retrieve_where_the_rule_leaves_few(top, kind):
    # camera 3 keeps columns 1 and 4 only; infinite (or the largest) distances are places like others
    far = np.inf if kind is np.float64 else np.iinfo(kind).max
    distmat = np.array([[1, far, 0, far, 2, far], [3, 3, 0, far, 2, 1]], dtype=kind)
    args = distmat, [1, 1], [1] * 6, [3, 6], [2, 1, 2, 2, 1, 2]
    got = retrieve(None, None, *args[1:], rule='sysu_mm01', top=top, distmat=distmat)
    assert got.tolist() == [[4, 1, -1, -1, -1, -1][:top], [2, 5, 4, 0, 1, 3][:top]]
    np.testing.assert_array_equal(got, retrieved(args, 'sysu_mm01', top))


@pytest.mark.parametrize('rule', RULES)
def test_retrieve_by_embeddings(rule):
    query, gallery, *labels = embeddings()
    gallery[20:25] = gallery[3]  # ties
    unit = [e / np.linalg.norm(e, axis=1, keepdims=True) for e in (query, gallery)]
    distmat = np.round(1 - unit[0] @ unit[1].T, 12)
    for chunk_size in (None, 1, 4):
        got = retrieve(query, gallery, *labels, rule=rule, top=7, chunk_size=chunk_size)
        np.testing.assert_array_equal(got, retrieved((distmat, *labels), rule, 7))


def test_retrieve_orders_as_rank():
    args = problem(8)
    ranks = queries_of(*args, rule='same_camera', cmc='image')
    places = retrieve(None, None, *args[1:], rule='same_camera', top=40, distmat=args[0])
    for place, row, pid in zip(ranks.first, places, args[1], strict=True):
        own = [g >= 0 and args[2][g] == pid for g in row]
        assert place == (own.index(True) if any(own) else -1)


def test_retrieve_errors():
    distmat, q_pids, g_pids, q_camids, g_camids = problem(0)
    with pytest.raises(ValueError, match='top is 0'):
        retrieve(distmat=distmat, top=0)
    with pytest.raises(ValueError, match='distmat'):
        retrieve()
    with pytest.raises(ValueError, match='rule'):
        retrieve(distmat=distmat, rule='sysu')
    with pytest.raises(ValueError, match='camids'):
        retrieve(distmat=distmat, rule='sysu_mm01')
    with pytest.raises(ValueError, match='q_pids'):
        retrieve(distmat=distmat, q_camids=q_camids, g_camids=g_camids, rule='same_camera')
    with pytest.raises(ValueError, match='nothing to rank'):
        retrieve(distmat=distmat[:, :0])
    distmat[1, 1] = np.nan
    with pytest.raises(ValueError, match='NaN'):
        retrieve(distmat=distmat)


# ------------------------------------------------------------------------------- embeddings, chunks

def embeddings(seed: int = 0, dim: int = 8):
    rng = np.random.default_rng(seed)
    _, q_pids, g_pids, q_camids, g_camids = problem(seed)
    # lengths differ, so that cosine, dot product and Euclidean distance rank differently
    query = rng.normal(size=(len(q_pids), dim)) * rng.uniform(0.2, 5, (len(q_pids), 1))
    gallery = rng.normal(size=(len(g_pids), dim)) * rng.uniform(0.2, 5, (len(g_pids), 1))
    return query, gallery, q_pids, g_pids, q_camids, g_camids


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('cmc', KINDS)
def test_embeddings_are_compared_by_cosine(rule, cmc):
    query, gallery, *labels = embeddings()
    cosine = np.zeros((len(query), len(gallery)))
    for q in range(len(query)):
        for g in range(len(gallery)):
            cosine[q, g] = query[q] @ gallery[g] / np.sqrt(query[q] @ query[q]) / np.sqrt(gallery[g] @ gallery[g])
    expected = reference.rank(1 - cosine, *labels, rule=rule, cmc=cmc)
    check(rank(query, gallery, *labels, rule=rule, cmc=cmc), expected)
    for dtype in (torch.float64, torch.float32):
        pair = (torch.from_numpy(e).to(dtype) for e in (query, gallery))
        check(rank(*pair, *labels, rule=rule, cmc=cmc), expected)
    check(call(1 - cosine, *labels, rule=rule, cmc=cmc), expected)


def test_embeddings_that_need_a_gradient_are_fine():
    query, gallery, *labels = embeddings()
    leaf = torch.from_numpy(query).requires_grad_()
    check(rank(leaf, torch.from_numpy(gallery), *labels), reference_of(query, gallery, labels))


def reference_of(query, gallery, labels, **kwargs):
    query = query / np.linalg.norm(query, axis=1, keepdims=True)
    gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    return reference.rank(1 - query @ gallery.T, *labels, **kwargs)


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('cmc', KINDS)
def test_chunks_change_nothing(rule, cmc):
    args = problem(9)
    query, gallery, *labels = embeddings(9)
    whole = reference.rank(*args, rule=rule, cmc=cmc)
    by_cosine = reference_of(query, gallery, labels, rule=rule, cmc=cmc)
    for chunk_size in (1, 2, 7, 15, 10_000, None):
        check(call(*args, rule=rule, cmc=cmc, chunk_size=chunk_size), whole)
        check(rank(query, gallery, *labels, rule=rule, cmc=cmc, chunk_size=chunk_size), by_cosine)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
def test_identical_embeddings_tie(dtype):
    # the same image twice in a gallery, or a collapsed model: equal embeddings are at equal distances, whatever the
    # matrix product's kernel does at the edges of its blocks, and so for every chunk
    g = torch.Generator().manual_seed(0)
    for n_gallery, dim in ((7, 5), (37, 64), (100, 200)):
        query = torch.randn(9, dim, generator=g, dtype=dtype)
        gallery = torch.randn(1, dim, generator=g, dtype=dtype).repeat(n_gallery, 1)
        g_pids = torch.randperm(n_gallery, generator=g)
        q_pids = g_pids[torch.randint(0, n_gallery, (9,), generator=g)]
        expected = reference.rank(np.zeros((9, n_gallery)), q_pids.tolist(), g_pids.tolist())
        for chunk_size in (1, 2, 4, 1024):
            check(rank(query, gallery, q_pids, g_pids, chunk_size=chunk_size), expected)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
def test_copies_of_the_query_tie(dtype):
    # their cosine is 1 but for the last digit, which 1 - cosine would show
    g = torch.Generator().manual_seed(0)
    for dim in (3, 64, 200):
        query = torch.randn(9, dim, generator=g, dtype=dtype)
        gallery = query.repeat_interleave(5, dim=0)[torch.randperm(45, generator=g)]
        g_pids = torch.randperm(45, generator=g)
        q_pids = g_pids[torch.randint(0, 45, (9,), generator=g)]
        distmat = (query[:, None] != gallery).any(dim=2).double() * 2 - rounded_cosine(query, gallery)
        expected = reference.rank_queries(distmat.numpy(), q_pids.tolist(), g_pids.tolist())
        for chunk_size in (1, 2, 4, None):
            check_queries(rank_queries(query, gallery, q_pids, g_pids, chunk_size=chunk_size), expected)


def rounded_cosine(query, gallery):
    query, gallery = (torch.nn.functional.normalize(e.double(), dim=1) for e in (query, gallery))
    return (query @ gallery.t()).float().double()


def test_memory_is_bounded():
    # the largest tensor that is made has the size of a chunk, never that of (Q, G)
    class Largest(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.bytes = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for value in out if isinstance(out, (tuple, list)) else [out]:
                if isinstance(value, torch.Tensor) and value.is_contiguous():  # not an expanded view
                    self.bytes = max(self.bytes, value.untyped_storage().nbytes())
            return out

    g = torch.Generator().manual_seed(0)
    num_query, num_gallery = 150, 30_000
    query, gallery = torch.randn(num_query, 4, generator=g), torch.randn(num_gallery, 4, generator=g)
    labels = [torch.randint(0, high, (n,), generator=g) for high in (3_000, 6) for n in (num_query, num_gallery)]
    for chunk_size, limit in ((None, 8 << 20), (5, 5 * num_gallery * 8), (1, num_gallery * 4 * 8)):
        for function in (rank_queries, retrieve):
            with Largest() as largest:
                function(query[:20] if chunk_size else query, gallery, *(
                    label[:20] if chunk_size and len(label) == num_query else label for label in labels),
                    rule='sysu_mm01', chunk_size=chunk_size)
            assert limit / 2 < largest.bytes <= limit + (num_query + num_gallery) * 8
            assert largest.bytes < 2 * num_query * num_gallery


def test_nothing_global_is_touched(capsys):
    state, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
    call(*problem(1))
    retrieve(distmat=problem(1)[0])
    assert torch.equal(torch.get_rng_state(), state) and (np.random.get_state()[1] == numbers).all()
    assert capsys.readouterr() == ('', '')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('cmc', KINDS)
def test_gpu(rule, cmc):
    for args in (problem(9), benchmark(3, shots=10)):
        distmat = torch.from_numpy(args[0]).cuda()
        check_queries(
            queries_of(distmat, *args[1:], rule=rule, cmc=cmc), reference.rank_queries(*args, rule=rule, cmc=cmc))
        np.testing.assert_array_equal(
            retrieve(None, None, *args[1:], rule=rule, distmat=distmat), retrieved(args, rule, 10))
    query, gallery, *labels = embeddings(9)
    pair = (torch.from_numpy(e).cuda() for e in (query, gallery))
    check(rank(*pair, *labels, rule=rule, cmc=cmc), reference_of(query, gallery, labels, rule=rule, cmc=cmc))


def test_inputs_are_left_alone():
    args = problem(1)
    query, gallery, *_ = embeddings(1)
    copies = [a.copy() for a in (*args, query, gallery)]
    call(*args, rule='same_camera')
    call(*(torch.from_numpy(a) for a in args), rule='sysu_mm01')
    rank(query, gallery, *args[1:])
    rank(torch.from_numpy(query), torch.from_numpy(gallery), *args[1:])  # of float64: no copy is needed
    retrieve(None, None, *args[1:], rule='same_camera', distmat=torch.from_numpy(args[0]))
    for a, b in zip((*args, query, gallery), copies, strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------------------------- errors

def test_no_match_at_all():
    distmat, q_pids, g_pids, q_camids, g_camids = problem(0)
    for cmc in KINDS:
        with pytest.raises(ValueError, match='match'):
            call(distmat, q_pids + 1, g_pids, cmc=cmc)
    with pytest.raises(ValueError, match='match'):  # every match is the query's own camera's
        call(distmat[:, :2], [7] * 15, [7, 7], [2] * 15, [2, 2], rule='same_camera')


def test_empty_inputs():
    distmat, q_pids, g_pids, *_ = problem(0)
    with pytest.raises(ValueError):
        call(distmat[:, :0], q_pids, g_pids[:0])
    with pytest.raises(ValueError):
        call(distmat[:0], q_pids[:0], g_pids)
    with pytest.raises(ValueError):
        rank(np.ones((15, 4)), np.ones((0, 4)), q_pids, g_pids[:0])


@pytest.mark.parametrize('convert', [np.asarray, torch.as_tensor])
def test_nan(convert):
    distmat, q_pids, g_pids, *_ = problem(0)
    distmat[3, 5] = np.nan
    with pytest.raises(ValueError, match='(?i)nan|finite'):
        call(convert(distmat), q_pids, g_pids)
    query, gallery, *labels = embeddings()
    for poisoned in (0, 1):
        pair = [query.copy(), gallery.copy()]
        pair[poisoned][2, 1] = np.nan
        with pytest.raises(ValueError, match='(?i)nan|finite'):
            rank(*(convert(e) for e in pair), *labels)


@pytest.mark.parametrize('rule', ['same_camera', 'sysu_mm01'])
def test_missing_cameras(rule):
    distmat, q_pids, g_pids, q_camids, g_camids = problem(0)
    for cameras in ({}, {'q_camids': q_camids}, {'g_camids': g_camids}):
        with pytest.raises(ValueError, match='camids'):
            call(distmat, q_pids, g_pids, **cameras, rule=rule)


def test_unknown_names():
    args = problem(0)
    with pytest.raises(ValueError, match='sysu') as error:
        call(*args, rule='sysu')
    assert 'sysu_mm01' in str(error.value) and 'same_camera' in str(error.value)
    with pytest.raises(ValueError, match='images') as error:
        call(*args, cmc='images')
    assert "'image'" in str(error.value) and 'identity' in str(error.value)


def test_lengths():
    distmat, q_pids, g_pids, q_camids, g_camids = problem(0)
    with pytest.raises(ValueError, match='q_pids'):
        call(distmat, q_pids[:-1], g_pids)
    with pytest.raises(ValueError, match='g_pids'):
        call(distmat, q_pids, g_pids[:-1])
    with pytest.raises(ValueError, match='q_camids'):
        call(distmat, q_pids, g_pids, q_camids[:-1], g_camids, rule='same_camera')
    with pytest.raises(ValueError, match='g_camids'):
        call(distmat, q_pids, g_pids, q_camids, g_camids[:-1], rule='same_camera')
    query, gallery, *labels = embeddings()
    with pytest.raises(ValueError, match='7'):
        rank(query, gallery[:, :7], *labels)
    with pytest.raises(ValueError, match='q_pids'):
        rank(query[:-1], gallery, *labels)


def test_nothing_to_rank():
    distmat, q_pids, g_pids, *_ = problem(0)
    with pytest.raises(ValueError, match='distmat'):
        rank(q_pids=q_pids, g_pids=g_pids)
    with pytest.raises(ValueError):
        rank(query=np.ones((15, 4)), q_pids=q_pids, g_pids=g_pids)
    with pytest.raises(ValueError, match='pids'):
        rank(distmat=distmat)


def test_chunk_size_below_one():
    for function in (rank, rank_queries):
        with pytest.raises(ValueError, match='chunk_size is 0'):
            function(None, None, *problem(0)[1:], distmat=problem(0)[0], chunk_size=0)


def test_signatures_agree():
    whole, by_query = (inspect.signature(function).parameters for function in (rank, rank_queries))
    assert whole == by_query
    assert all(whole[name] == value for name, value in inspect.signature(retrieve).parameters.items() if name != 'top')
