import math
import random
from collections import Counter
from typing import Dict, List, Tuple

import numpy as np
import pytest
import torch

from fdnm_timm.data import INFRARED, VISIBLE, CrossModalityIdentitySampler, DatasetError, Record

# pid -> (visible images, infrared images); identity 4 has fewer than K = 4 of both, 5 of one, 6 exactly K
COUNTS = {0: (9, 7), 1: (5, 12), 2: (8, 4), 3: (30, 5), 4: (2, 1), 5: (3, 6), 6: (4, 4), 7: (11, 5)}


def make(counts: Dict[int, Tuple[int, int]]) -> Tuple[List[Record], List[int]]:
    """Records of so many images, in an order that tells neither identity nor modality."""
    rows = [
        ((f'{pid}-{modality}-{n}.jpg', pid, 3 if modality == INFRARED else 1), modality)
        for pid, numbers in counts.items() for modality in (VISIBLE, INFRARED) for n in range(numbers[modality])
    ]
    random.Random(7).shuffle(rows)
    return [record for record, _ in rows], [modality for _, modality in rows]


def sampler(counts=COUNTS, **kwargs) -> CrossModalityIdentitySampler:
    return CrossModalityIdentitySampler(*make(counts), **{'num_ids': 3, 'num_instances': 4, **kwargs})


def batches(of: CrossModalityIdentitySampler) -> List[List[Tuple[int, int]]]:
    keys = list(of)
    return [keys[start:start + of.batch_size] for start in range(0, len(keys), of.batch_size)]


@pytest.mark.parametrize(('num_ids', 'num_instances'), [(2, 1), (3, 4), (6, 4), (8, 3), (5, 40)])
def test_length_is_exact(num_ids, num_instances):
    made = sampler(num_ids=num_ids, num_instances=num_instances)
    visible, infrared = (sum(counts[m] for counts in COUNTS.values()) for m in (VISIBLE, INFRARED))
    number = math.ceil(max(visible, infrared) / (num_ids * num_instances))
    assert made.num_batches == number
    assert made.batch_size == 2 * num_ids * num_instances
    assert len(made) == number * made.batch_size == len(list(made))


@pytest.mark.parametrize('counts', [{0: (3, 9), 1: (3, 9)}, {0: (9, 3), 1: (9, 3)}, {0: (8, 8), 1: (8, 8)}])
def test_the_larger_modality_sets_the_length(counts):
    number = math.ceil(max(sum(c[0] for c in counts.values()), sum(c[1] for c in counts.values())) / 4)
    assert len(list(sampler(counts, num_ids=2, num_instances=2))) == number * 8


def test_a_batch_holds_ids_times_both_modalities():
    records, modalities = make(COUNTS)
    made = CrossModalityIdentitySampler(records, modalities, num_ids=3, num_instances=4)
    for epoch in range(10):
        made.set_epoch(epoch)
        for batch in batches(made):
            assert len(batch) == 24
            drawn = Counter((records[place][1], modalities[place]) for place, _ in batch)
            pids = {pid for pid, _ in drawn}
            assert len(pids) == 3
            assert drawn == {(pid, modality): 4 for pid in pids for modality in (VISIBLE, INFRARED)}


def test_replacement_only_where_images_are_too_few():
    records, modalities = make(COUNTS)
    made = CrossModalityIdentitySampler(records, modalities, num_ids=8, num_instances=4)  # all identities in each batch
    for epoch in range(10):
        made.set_epoch(epoch)
        for batch in batches(made):
            places: Dict[Tuple[int, int], List[int]] = {}
            for place, _ in batch:
                places.setdefault((records[place][1], modalities[place]), []).append(place)
            for (pid, modality), drawn in places.items():
                if COUNTS[pid][modality] >= 4:
                    assert len(set(drawn)) == 4, (pid, modality)
                else:
                    assert len(set(drawn)) <= COUNTS[pid][modality] and len(drawn) == 4, (pid, modality)


def test_every_image_is_drawn_in_time():
    made = sampler()
    seen = set()
    for epoch in range(200):
        made.set_epoch(epoch)
        seen |= {place for place, _ in made}
    assert seen == set(range(sum(map(sum, COUNTS.values()))))


def test_stream_depends_on_seed_and_epoch_alone():
    made = sampler(seed=3)
    first = list(made)
    assert list(made) == first and list(sampler(seed=3)) == first  # again, and in another object
    made.set_epoch(1)
    second = list(made)
    assert second != first
    made.set_epoch(0)
    assert list(made) == first
    assert list(sampler(seed=4)) not in (first, second)
    other = sampler(seed=4)
    other.set_epoch(1)
    assert list(other) != second  # seed 4, epoch 1 is not seed 3, epoch 1


def test_every_place_has_an_augmentation_seed_of_its_own():
    made = sampler()
    keys = list(made)
    made.set_epoch(1)
    keys += list(made)
    assert all(type(place) is int and type(seed) is int and 0 <= seed < 2 ** 63 for place, seed in keys)
    assert len({seed for _, seed in keys}) == len(keys)


@pytest.mark.parametrize(('missing', 'word'), [((5, 0), 'infrared'), ((0, 5), 'visible')])
def test_identity_without_one_modality_is_named(missing, word):
    counts = {0: (4, 4), 1: missing, 2: (4, 4)}
    with pytest.raises(DatasetError, match=rf'\[271\].*no {word} image'):
        sampler(counts, num_ids=2, names=[15, 271, 533])
    with pytest.raises(DatasetError, match=rf'\[1\].*no {word} image'):
        sampler(counts, num_ids=2)


def test_fewer_identities_than_a_batch_takes():
    assert len(list(sampler({0: (4, 4), 1: (4, 4), 2: (4, 4)}, num_ids=3)))
    with pytest.raises(DatasetError, match='takes 3 identities, but there are 2'):
        sampler({0: (4, 4), 1: (4, 4)}, num_ids=3)
    with pytest.raises(DatasetError, match='there are 0'):
        CrossModalityIdentitySampler([], [])


@pytest.mark.parametrize(('num_ids', 'num_instances'), [(1, 4), (0, 4), (-2, 4), (3, 0), (3, -1)])
def test_bad_batch_shape(num_ids, num_instances):
    with pytest.raises(ValueError, match=f'num_ids is {num_ids} and num_instances {num_instances}'):
        sampler(num_ids=num_ids, num_instances=num_instances)


def test_unequal_lengths():
    records, modalities = make(COUNTS)
    with pytest.raises(ValueError, match=f'{len(records)} records, but {len(records) - 1} modalities'):
        CrossModalityIdentitySampler(records, modalities[:-1])


def test_global_random_state_is_left_alone():
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    list(sampler())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1][1]) and np.random.get_state()[2:] == states[1][2:]
    assert random.getstate() == states[2]


def test_global_random_state_does_not_matter():
    streams = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        streams.append(list(sampler()))
    assert streams[0] == streams[1]


@pytest.mark.parametrize('number', [2, 3, 6])
def test_processes_share_each_batch_by_identities(number):
    """Their parts are the batch that one process draws, seeds of the augmentation included, and no image twice."""
    whole = sampler(num_ids=6)
    parts = [sampler(num_ids=6, rank=rank, num_replicas=number) for rank in range(number)]
    for made in (whole, *parts):
        made.set_epoch(3)
    assert all(made.batch_size * number == whole.batch_size and len(made) * number == len(whole) for made in parts)
    pids = [pid for _, pid, _ in make(COUNTS)[0]]
    for batch, *shares in zip(batches(whole), *(batches(made) for made in parts), strict=True):
        assert sorted(key for share in shares for key in share) == sorted(batch)
        of_ranks = [{pids[place] for place, _ in share} for share in shares]
        assert [len(of_rank) for of_rank in of_ranks] == [6 // number] * number
        assert len(set.union(*of_ranks)) == 6


def test_processes_that_cannot_share_a_batch():
    with pytest.raises(ValueError, match=r'6 identities, which 4 processes cannot share evenly.*multiple of 4'):
        sampler(num_ids=6, rank=0, num_replicas=4)
    with pytest.raises(ValueError, match=r'rank is 2, but must lie in 0\.\.1'):
        sampler(num_ids=6, rank=2, num_replicas=2)
