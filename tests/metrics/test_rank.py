import numpy as np
import pytest
import torch

from fdnm_timm.metrics import rank
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
    for chunk_size in (1, 2, 7, 15, 10_000):
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


def test_inputs_are_left_alone():
    args = problem(1)
    query, gallery, *_ = embeddings(1)
    copies = [a.copy() for a in (*args, query, gallery)]
    call(*args, rule='same_camera')
    call(*(torch.from_numpy(a) for a in args), rule='sysu_mm01')
    rank(query, gallery, *args[1:])
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
