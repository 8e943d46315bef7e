"""Batches of P identities, each with K visible and K infrared images."""
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch

from .base import INFRARED, VISIBLE, DatasetError, Record

__all__ = ['CrossModalityIdentitySampler', 'SampleKey']

SampleKey = Tuple[int, int]  # (place in the records, seed of its augmentation)


class CrossModalityIdentitySampler(torch.utils.data.Sampler[SampleKey]):
    """Draw P identities a batch, and K visible and K infrared images of each.

    An epoch is ceil(max(N_visible, N_infrared) / (P * K)) batches, and `len` is its exact number of images.
    Identities are drawn without replacement within a batch; so are the images, except of an identity with fewer than
    K. What is drawn depends on the seed and the epoch (`set_epoch`) alone, and each place in the epoch has a seed of
    its own for its augmentation, so neither workers nor a resumed run change anything.

    Several processes share a batch by its identities: with `num_replicas` = N, process `rank` yields the identities
    rank, rank + N, ... of each batch, with all their images, and their parts together are the batch that one process
    would draw. `batch_size` and `len` are then those of the process's own part.
    """

    def __init__(
            self,
            records: Sequence[Record],
            modalities: Sequence[int],
            num_ids: int = 6,
            num_instances: int = 4,
            seed: int = 0,
            names: Optional[Sequence[int]] = None,
            rank: int = 0,
            num_replicas: int = 1,
    ) -> None:
        """
        Args:
            records: Training records.
            modalities: Modality of each record.
            num_ids: P, identities of a batch, >= 2.
            num_instances: K, images of an identity and modality, >= 1.
            seed: Of all that is drawn.
            names: The benchmark's pid of each label, for messages.
            rank: Number of this process, from 0.
            num_replicas: Processes that share each batch; P must be a multiple of it.

        Raises:
            DatasetError: An identity has no image of one modality, or there are fewer than P identities.
            ValueError: Lengths that do not fit, or P or K out of range.
        """
        if len(records) != len(modalities):
            raise ValueError(f'There are {len(records)} records, but {len(modalities)} modalities.')
        unknown = sorted(set(modalities) - {VISIBLE, INFRARED})
        if unknown:
            raise ValueError(f'modalities holds {unknown}, but only 0 (visible) and 1 (infrared) are modalities.')
        if num_ids < 2 or num_instances < 1:
            raise ValueError(
                f'num_ids is {num_ids} and num_instances {num_instances}, but a batch needs at least 2 identities '
                f'(one has no negatives) and 1 image of each modality.')
        if not 0 <= rank < num_replicas:
            raise ValueError(f'rank is {rank}, but must lie in 0..{num_replicas - 1}, below num_replicas.')
        if num_ids % num_replicas:
            raise ValueError(
                f'A batch has {num_ids} identities, which {num_replicas} processes cannot share evenly: set num_ids '
                f'(data.num_ids) to a multiple of {num_replicas}, or start another number of processes.')
        index: Tuple[Dict[int, List[int]], Dict[int, List[int]]] = ({}, {})
        for place, ((_, pid, _), modality) in enumerate(zip(records, modalities)):
            index[modality].setdefault(pid, []).append(place)
        for modality, word in ((VISIBLE, 'visible'), (INFRARED, 'infrared')):
            missing = sorted(index[1 - modality].keys() - index[modality].keys())
            if missing:
                shown = [names[pid] if names is not None else pid for pid in missing[:10]]
                raise DatasetError(
                    f'Identities {shown} have no {word} image, but a batch takes both modalities of each: complete '
                    f'or remove them.')
        self.pids = sorted(index[VISIBLE])
        if len(self.pids) < num_ids:
            raise DatasetError(
                f'A batch takes {num_ids} identities, but there are {len(self.pids)}: lower the number of '
                f'identities a batch.')
        self.index = index
        self.num_ids = num_ids
        self.num_instances = num_instances
        self.seed = seed
        self.epoch = 0
        self.rank = rank
        self.num_replicas = num_replicas
        most = max(sum(len(places) for places in of_pid.values()) for of_pid in index)
        self.num_batches = -(-most // (num_ids * num_instances))

    @property
    def batch_size(self) -> int:
        return 2 * (self.num_ids // self.num_replicas) * self.num_instances

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch (>= 0) that the next pass draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_batches * self.batch_size

    def __iter__(self) -> Iterator[SampleKey]:
        rng = np.random.default_rng((self.seed, self.epoch))
        for _ in range(self.num_batches):
            for number, pid in enumerate(rng.choice(self.pids, self.num_ids, replace=False)):
                mine = number % self.num_replicas == self.rank
                for of_pid in self.index:
                    places = of_pid[int(pid)]
                    drawn = rng.choice(places, self.num_instances, replace=len(places) < self.num_instances)
                    seeds = rng.integers(2 ** 63, size=self.num_instances)
                    if mine:  # what is not is drawn all the same, so that every process draws alike
                        yield from ((int(place), int(seed)) for place, seed in zip(drawn, seeds))
