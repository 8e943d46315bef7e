"""Distances between some test images' features, for pictures of how identities and modalities lie (Fig. 2 and 6)."""
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np
import torch

from .. import spectrum
from ..data import INFRARED, VISIBLE, Record
from ..metrics import cosine_distances
from ..saved import Samples, relative_path
from .evaluating_engine import EvaluatingEngine

__all__ = ['collect_all_samples', 'collect_samples']

_BLOCK_VALUES = 1 << 22  # of a block of channels in float64: 32 MiB, and a few times that with what is made of it


def _draw(
        records: Sequence[Record],
        modality_of: Callable[[str], int],
        num_ids: int,
        per_modality: int,
        seed: int,
) -> List[Record]:
    """Images of a fixed draw of the identities that were seen in both modalities, by identity and modality."""
    images: Dict[Tuple[int, int], List[Record]] = {}
    for record in sorted(set(records)):
        images.setdefault((record[1], modality_of(record[0])), []).append(record)
    both = sorted({pid for pid, _ in images if (pid, VISIBLE) in images and (pid, INFRARED) in images})
    if not both:
        raise ValueError(
            f'None of the {len({pid for pid, _ in images})} test identities was seen in both modalities: there is '
            f'nothing to compare.')
    rng = np.random.default_rng(seed)
    drawn: List[Record] = []
    for pid in sorted(rng.choice(both, min(num_ids, len(both)), replace=False).tolist()):
        for modality in (VISIBLE, INFRARED):
            own = images[pid, modality]
            drawn += [own[i] for i in sorted(rng.choice(len(own), min(per_modality, len(own)), replace=False))]
    return drawn


@torch.no_grad()
def _features(engine: EvaluatingEngine, target: str, records: Sequence[Record]) -> Tuple[torch.Tensor, torch.Tensor]:
    """Embeddings (n, D) and the last stage's maps (n, C, H, W), float32 on the CPU, from one pass."""
    engine.set_model_mode('eval')
    embeddings = []
    maps = torch.empty(0)
    done = 0
    for data in engine.datamanager.loader_of(target, records):
        images, modality = engine.parse_data_for_eval(data)
        final, (last,) = engine.model.forward_intermediates(images, 1, modality=modality)
        embeddings.append(engine.model.forward_head(final, pre_logits=True).float().cpu())
        if not done:
            maps = torch.empty(len(records), *last.shape[1:])  # filled in place: a list to be joined would double it
        maps[done:done + len(last)] = last.float().cpu()
        done += len(last)
    return torch.cat(embeddings), maps


def _map_distances(maps: torch.Tensor, device: torch.device) -> Dict[str, np.ndarray]:
    """Distances (n, n) of maps (n, C, H, W), some channels at a time, in float64: they are differences of products."""
    n, chs, height, width = maps.shape
    grams = {name: torch.zeros(n, n, dtype=torch.float64, device=device) for name in ('spatial', 'amplitude', 'phase')}
    for block in maps.split(max(1, _BLOCK_VALUES // (n * height * width)), dim=1):
        block = block.to(device, torch.float64)
        spec, amplitude = spectrum.analyse(block)
        for name, values in (('spatial', block), ('amplitude', amplitude), ('phase', spectrum.phasor(spec))):
            rows = values.flatten(1)
            grams[name].addmm_(rows, rows.t())
    grams['phase'] /= chs * height * (width // 2 + 1)  # bins
    distances = {}
    for name, gram in grams.items():
        squares = gram.diagonal()
        distance = (squares[:, None] + squares - 2 * gram).clamp_min_(0).sqrt_().fill_diagonal_(0)
        distances[name] = distance.float().cpu().numpy()
    return distances


def collect_samples(
        engine: EvaluatingEngine,
        target: str,
        num_ids: int = 24,
        per_modality: int = 8,
        seed: int = 0,
) -> Samples:
    """Embed some test images of a target, and compare them.

    The images are those of identities drawn from the queries and the gallery of the first setting's first trial. The
    maps come from the model's `forward_intermediates`, in the pass that gives the embeddings. They are held once, in
    float32 (0.9 GB for 384 images of fdnm_resnet50 at 384 x 192), and compared by blocks of channels. Each process that
    calls it works by itself; with several, the main one is enough.

    Args:
        engine: With the model, which is left in evaluation mode.
        target: One of the data manager's targets.
        num_ids: Identities, at most.
        per_modality: Images of an identity in each modality, at most.
        seed: Of the draw, which depends on nothing else but the records.

    Raises:
        ValueError: There is no such target; a number is below 1; no identity was seen in both modalities.
    """
    manager = engine.datamanager
    if target not in manager.targets:
        raise ValueError(f'target is {target!r}, but this engine evaluates on {", ".join(map(repr, manager.targets))}.')
    if min(num_ids, per_modality) < 1:
        raise ValueError(f'num_ids is {num_ids} and per_modality {per_modality}, but each is at least 1.')
    dataset = manager.datasets[target]
    trial = manager.settings[target][0].trials[0]
    records = _draw([*trial.query, *trial.gallery], dataset.modality, num_ids, per_modality, seed)
    embeddings, maps = _features(engine, target, records)
    embedding = cosine_distances(embeddings, embeddings).clamp_min_(0).fill_diagonal_(0)
    return Samples(
        pids=np.array([pid for _, pid, _ in records]),
        camids=np.array([camid for _, _, camid in records]),
        modality=np.array([dataset.modality(path) for path, _, _ in records], dtype=np.int8),
        paths=np.array([relative_path(path, dataset.root) for path, _, _ in records]),
        embedding=embedding.numpy(),
        **_map_distances(maps, engine.device))


def collect_all_samples(engine: EvaluatingEngine, **kwargs: Any) -> Dict[str, Samples]:
    """`collect_samples` of every target, with its arguments."""
    return {target: collect_samples(engine, target, **kwargs) for target in engine.datamanager.targets}
