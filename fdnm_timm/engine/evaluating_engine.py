"""Evaluation of a model by the protocols of a data manager's targets, as a torchreid engine."""
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import torch
from tqdm import tqdm

from ..data import Record
from ..distributed import Processes
from ..reported import reported
from ..saved import Outcomes
from ._torchreid import Engine
from .evaluation import RankedLists, evaluate_setting, metrics_of, needed_records
from .results import format_results

__all__ = ['EvaluatingEngine']


class EvaluatingEngine(Engine):
    """The half of `FDNMEngine` that evaluates: it extracts each image once, and ranks as the benchmark does.

    The other half sets the attributes that are declared here.
    """

    model: Any  # a module, of which mypy would know too little
    device: torch.device
    memory_format: torch.memory_format
    processes: Processes
    progress: bool
    best_by: str
    results: Dict[str, Dict[str, Any]]
    outcomes: Dict[str, Dict[str, Outcomes]]
    ranked: Dict[str, Dict[str, RankedLists]]

    def extract_features(self, input: torch.Tensor, modality: Any = None) -> torch.Tensor:
        """Embeddings (B, head_hidden_size) of images (B, C, H, W); for `modality` see `layers.TwoStream`."""
        return self.model.forward_head(self.model.forward_features(input, modality), pre_logits=True)

    def _to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        of_images = self.memory_format if tensor.ndim == 4 else torch.preserve_format
        return tensor.to(self.device, non_blocking=True, memory_format=of_images)

    def parse_data_for_eval(self, data: Mapping[str, Any]) -> Tuple[torch.Tensor, torch.Tensor]:
        """(images, modality) of a batch, on the engine's device."""
        return self._to_device(data['img']), self._to_device(data['modality'])

    @torch.no_grad()
    def embed(self, name: str, records: Sequence[Record], flip: bool = False) -> torch.Tensor:
        """Embeddings of a target's records (N, head_hidden_size), in their order, on the CPU.

        With `flip`, the mean of the image's and its mirror image's. Several processes share the work; the main one gets
        the embeddings, the others (0, head_hidden_size).
        """
        self.set_model_mode('eval')
        loader = self.datamanager.loader_of(name, self.processes.shard(records))
        embeddings = [torch.empty(0, self.model.head_hidden_size)]
        for data in tqdm(loader, desc=f'embed {name}', unit='batch', disable=not self._shows, leave=False):
            images, modality = self.parse_data_for_eval(data)
            features = self.extract_features(images, modality)
            if flip:
                features = (features + self.extract_features(images.flip(-1), modality)) / 2
            embeddings.append(features.float().cpu())
        return self.processes.collect(torch.cat(embeddings), len(records))

    @property
    def _shows(self) -> bool:
        """Whether this process shows progress bars."""
        return self.progress and self.processes.is_main

    def test(
            self,
            dist_metric: str = 'cosine',
            normalize_feature: bool = False,
            visrank: bool = False,
            visrank_topk: int = 10,
            save_dir: str = '',
            use_metric_cuhk03: bool = False,
            ranks: Sequence[int] = (1, 5, 10, 20),
            rerank: bool = False,
            flip: bool = False,
    ) -> float:
        """Evaluate every target by its protocol, print and keep the results; arguments as for torchreid's
        `Engine.test`.

        `flip` embeds the mirrored images too and takes the mean; it and `rerank` are written into the results. The
        embedding's parts are L2-normalised, so cosine and Euclidean distances, normalised or not, rank alike, and
        `dist_metric` and `normalize_feature` make no difference.

        Returns:
            Rank-1 as a fraction, of the first setting of the last target.
        """
        if use_metric_cuhk03:
            raise ValueError('use_metric_cuhk03 belongs to CUHK03, which has no infrared images.')
        for name in self.datamanager.targets:
            self._evaluate_target(name, self._with_needed(ranks), rerank, flip, visrank_topk)
            if self.writer is not None:
                for setting, result in self.results[name].items():
                    for metric in metrics_of(result):
                        self.writer.add_scalar(f'Test/{name}/{setting}/{metric}', result[metric], self.epoch)
            if self.processes.is_main:
                print(format_results(name, self.results[name]))
            if visrank:
                from ..plots import save_ranked
                for setting, lists in self.ranked[name].items():
                    save_ranked(
                        Path(save_dir) / f'visrank_{name}_{setting}.png', lists, self.datamanager.datasets[name])
        return self._leading_result()['R1'] / 100

    def _with_needed(self, ranks: Sequence[int]) -> List[int]:
        """`ranks`, and those that the engine itself goes by."""
        return sorted({1, *ranks, *([int(self.best_by[1:])] if self.best_by[1:].isdecimal() else [])})

    def _leading_result(self) -> Mapping[str, Any]:
        """That of the first setting of the last target, by which models are chosen."""
        return next(iter(self.results[self.datamanager.targets[-1]].values()))

    def _evaluate_target(self, name: str, ranks: Sequence[int], rerank: bool, flip: bool, top: int) -> None:
        records = needed_records(self.datamanager.settings[name])
        features = self.embed(name, records, flip)
        rows = {record[0]: row for row, record in enumerate(records)}
        self.ranked[name], self.outcomes[name] = {}, {}
        self.results[name] = self.processes.from_main(
            lambda: self._rank(name, rows, features, ranks, rerank, flip, top))

    def _rank(
            self,
            name: str,
            rows: Mapping[str, int],
            features: torch.Tensor,
            ranks: Sequence[int],
            rerank: bool,
            flip: bool,
            top: int,
    ) -> Dict[str, Any]:
        results: Dict[str, Any] = {}
        for setting in self.datamanager.settings[name]:
            result, outcomes, lists = evaluate_setting(setting, rows, features, ranks, rerank, top)
            result.update(flipped=flip, reported_as=setting.reported, reported=reported(name, setting.reported))
            results[setting.name] = result
            self.outcomes[name][setting.name] = outcomes
            self.ranked[name][setting.name] = lists
        return results
