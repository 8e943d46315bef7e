"""FDNM's training and evaluation as a torchreid engine."""
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from tqdm import tqdm

from ..data import Record
from ..files import replacing, write_json, write_text
from ..losses import FDNMLoss
from ..metrics import rank, retrieve
from ..protocols import Setting
from ._torchreid import Engine, re_ranking
from .environment import describe_environment

__all__ = ['FDNMEngine', 'RankedLists']


class RankedLists(NamedTuple):
    """The first places of one setting's first trial, for pictures."""
    query: List[Record]
    gallery: List[Record]
    places: np.ndarray  # (Q, top) gallery indices, -1 where the rule leaves fewer


class FDNMEngine(Engine):
    """torchreid's `Engine` for a model that is told each image's modality.

    It is used as torchreid's engines are: `engine.run(save_dir=..., max_epoch=..., eval_freq=..., test_only=...)`. It
    overrides what carries a batch to the model; the evaluation, which extracts the queries and the union of all trials'
    galleries once and follows the benchmark's protocol; and what torchreid 0.2.5 and 1.4 get wrong here (frozen
    parameters, checkpoints without a scheduler, the sampler's epoch).

    After `run` or `test`, `results[target][setting]` holds R1, R5, R10, R20, mAP and mINP in percent, as means over the
    trials, with 'std' (population) and 'trials'; `ranked` holds the first places.
    """

    model: Any  # a module, of which mypy would know too little

    def __init__(
            self,
            datamanager: Any,
            model: torch.nn.Module,
            optimizer: torch.optim.Optimizer,
            scheduler: Any = None,
            loss: Optional[torch.nn.Module] = None,
            use_gpu: bool = True,
            config: Optional[Mapping[str, Any]] = None,
            progress: bool = True,
            amp: bool = False,
    ) -> None:
        """
        Args:
            datamanager: A `CrossModalityDataManager`.
            model: An FDNM model; it is moved to the GPU where one is used, and put into metric training.
            optimizer: Of the model's parameters.
            scheduler: Stepped after every epoch; None for a constant learning rate.
            loss: Called as `loss(output, pids, modality)`, returns (total, dict of parts); `FDNMLoss()` by default.
            use_gpu: Use a GPU where there is one.
            config: What made this run; written beside its results.
            progress: Show progress bars.
            amp: Train under bfloat16 autocast; spectra, losses and the evaluation stay in float32.

        Raises:
            TypeError: The model has no `set_metric_training`.
            ValueError: The model has another number of classes than there are training identities.
        """
        super().__init__(datamanager, use_gpu)
        if not hasattr(model, 'set_metric_training'):
            raise TypeError(
                f'{type(model).__name__} is no FDNM model: create one by timm.create_model("fdnm_resnet50", ...).')
        num_classes = getattr(model, 'num_classes', None)
        if num_classes != datamanager.num_train_pids:
            raise ValueError(
                f'The model has {num_classes} classes, but there are {datamanager.num_train_pids} training '
                f'identities: create it with num_classes=datamanager.num_train_pids.')
        self.device = torch.device('cuda' if self.use_gpu else 'cpu')
        self.model = model.to(self.device)
        self.model.set_metric_training(True)
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.register_model('model', self.model, optimizer, scheduler)
        self.loss = loss if loss is not None else FDNMLoss()
        self.config = config
        self.progress = progress
        self.amp = amp
        self.results: Dict[str, Dict[str, Any]] = {}
        self.ranked: Dict[str, Dict[str, RankedLists]] = {}
        self.history: List[Dict[str, Any]] = []
        self.best: Optional[float] = None
        self._frozen = [p for p in self.model.parameters() if not p.requires_grad]
        self._bar: Any = None

    # training

    def run(self, save_dir: str = 'log', max_epoch: int = 0, **kwargs: Any) -> Dict[str, Dict[str, Any]]:
        """Train and evaluate, or only evaluate; arguments as for torchreid's `Engine.run`.

        Writes config.yaml and environment.json at the start, checkpoints and TensorBoard scalars on the way, and
        results.json at the end into `save_dir`.

        Returns:
            `results`.
        """
        folder = Path(save_dir)
        if self.config is not None:
            write_text(folder / 'config.yaml', _to_yaml(self.config))
        write_json(folder / 'environment.json', describe_environment(self.device))
        super().run(save_dir=save_dir, max_epoch=max_epoch, **kwargs)
        write_json(folder / 'results.json', {
            'results': self.results, 'epochs': max_epoch, 'history': self.history, 'best_rank1': self.best})
        return self.results

    def train(self, print_freq: int = 10, fixbase_epoch: int = 0, open_layers: Any = None) -> None:
        loader = self.datamanager.train_loader
        if hasattr(loader.sampler, 'set_epoch'):
            loader.sampler.set_epoch(self.epoch)
        self._epoch_sums: Dict[str, float] = {}
        if not self.progress:
            super().train(print_freq=print_freq, fixbase_epoch=fixbase_epoch, open_layers=open_layers)
        else:
            title = f'epoch {self.epoch + 1}/{self.max_epoch}'
            with tqdm(loader, desc=title, unit='batch', dynamic_ncols=True) as self._bar:
                self.train_loader = self._bar
                try:
                    # the bar shows what torchreid would print
                    super().train(print_freq=len(loader) + 1, fixbase_epoch=fixbase_epoch, open_layers=open_layers)
                finally:
                    self.train_loader, self._bar = loader, None
        means = {name: value / max(1, len(loader)) for name, value in self._epoch_sums.items()}
        self.history.append({'epoch': self.epoch + 1, 'lr': self._epoch_lr, **means})

    def two_stepped_transfer_learning(self, *args: Any, **kwargs: Any) -> None:
        super().two_stepped_transfer_learning(*args, **kwargs)
        for parameter in self._frozen:  # torchreid has just opened every layer
            parameter.requires_grad_(False)

    def forward_backward(self, data: Mapping[str, Any]) -> Dict[str, float]:
        images, pids, modality = self.parse_data_for_train(data)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            output = self.model(images, modality)
        try:
            loss, parts = self.loss(output, pids, modality)
        except FloatingPointError as error:
            raise FloatingPointError(f'Epoch {self.epoch + 1}, batch {self.batch_idx + 1}: {error}'
                                     f'{self._non_finite(images, data)}') from None
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        summary = {'loss': loss.item(), **{f'loss_{name}': part.item() for name, part in parts.items()}}
        logits = output.logits.detach().mean(dim=(1, 2))
        summary['accuracy'] = (logits.argmax(dim=1) == pids).float().mean().item()
        for name, value in summary.items():
            self._epoch_sums[name] = self._epoch_sums.get(name, 0.) + value
        self._epoch_lr = self.get_current_lr()
        if self._bar is not None:
            self._bar.set_postfix({name: f'{value:.3f}' for name, value in summary.items()}, refresh=False)
        return summary

    @staticmethod
    def _non_finite(images: torch.Tensor, data: Mapping[str, Any]) -> str:
        bad = [path for path, image in zip(data['impath'], images) if not bool(torch.isfinite(image).all())]
        return f' These images of the batch hold NaN or infinity: {", ".join(bad[:5])}.' if bad else ''

    def parse_data_for_train(self, data: Mapping[str, Any]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(images, pids, modality) of a batch, on the engine's device."""
        return tuple(data[key].to(self.device, non_blocking=True) for key in ('img', 'pid', 'modality'))  # type: ignore

    def save_model(self, epoch: int, rank1: float, save_dir: str, is_best: bool = False) -> None:
        """Write save_dir/model/model.pth.tar-EPOCH whole, in torchreid's format, and model-best.pth.tar where it is
        best.

        torchreid's own needs a scheduler, never learns which is best, and stores a NumPy number that current torch
        refuses to load.
        """
        is_best = is_best or self.best is None or rank1 > self.best
        self.best = rank1 if is_best else self.best
        for name in self.get_model_names():
            scheduler = self._scheds[name]
            state = {
                'state_dict': self._models[name].state_dict(),
                'epoch': epoch + 1,
                'rank1': float(rank1),
                'optimizer': self._optims[name].state_dict(),
            }
            if scheduler is not None:
                state['scheduler'] = scheduler.state_dict()
            folder = Path(save_dir) / name
            for file in [f'model.pth.tar-{epoch + 1}'] + ['model-best.pth.tar'] * is_best:
                with replacing(folder / file) as temporary:
                    torch.save(state, temporary)

    # evaluation

    def extract_features(self, input: torch.Tensor, modality: Any = None) -> torch.Tensor:
        """Embeddings (B, head_hidden_size) of images (B, C, H, W); for `modality` see `layers.TwoStream`."""
        return self.model.forward_head(self.model.forward_features(input, modality), pre_logits=True)

    def parse_data_for_eval(self, data: Mapping[str, Any]) -> Tuple[torch.Tensor, torch.Tensor]:
        """(images, modality) of a batch, on the engine's device."""
        return data['img'].to(self.device, non_blocking=True), data['modality'].to(self.device, non_blocking=True)

    @torch.no_grad()
    def embed(self, name: str, records: Sequence[Record]) -> torch.Tensor:
        """Embeddings of a target's records (N, head_hidden_size), in their order, on the CPU."""
        self.set_model_mode('eval')
        loader = self.datamanager.loader_of(name, records)
        return torch.cat([
            self.extract_features(*self.parse_data_for_eval(data)).float().cpu()
            for data in tqdm(loader, desc=f'embed {name}', unit='batch', disable=not self.progress, leave=False)
        ])

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
    ) -> float:
        """Evaluate every target by its protocol, print and keep the results; arguments as for torchreid's
        `Engine.test`.

        The embedding's parts are L2-normalised, so cosine and Euclidean distances, normalised or not, rank alike, and
        `dist_metric` and `normalize_feature` make no difference.

        Returns:
            Rank-1 as a fraction, of the first setting of the last target.
        """
        if use_metric_cuhk03:
            raise ValueError('use_metric_cuhk03 belongs to CUHK03, which has no infrared images.')
        rank1 = 0.
        for name in self.datamanager.targets:
            self.results[name], self.ranked[name] = {}, {}
            settings = self.datamanager.settings[name]
            rows, features = self._extract(name, settings)
            for number, setting in enumerate(settings):
                result = self._evaluate_setting(setting, rows, features, ranks, rerank, name, visrank_topk)
                self.results[name][setting.name] = result
                if number == 0:
                    rank1 = result['R1'] / 100
                if self.writer is not None:
                    for metric in ('R1', 'mAP', 'mINP'):
                        self.writer.add_scalar(f'Test/{name}/{setting.name}/{metric}', result[metric], self.epoch)
            print(format_results(name, self.results[name]))
            if visrank:
                from ..plots import save_ranked
                for setting_name, lists in self.ranked[name].items():
                    save_ranked(
                        Path(save_dir) / f'visrank_{name}_{setting_name}.png', lists, self.datamanager.datasets[name])
        return rank1

    def _extract(self, name: str, settings: Sequence[Setting]) -> Tuple[Dict[str, int], torch.Tensor]:
        """Embed every image that any trial needs once; returns each path's row, and the rows."""
        needed = {record[0]: record for s in settings for records in (s.query, *s.galleries) for record in records}
        records = list(needed.values())
        return {record[0]: row for row, record in enumerate(records)}, self.embed(name, records)

    def _evaluate_setting(
            self,
            setting: Setting,
            rows: Mapping[str, int],
            features: torch.Tensor,
            ranks: Sequence[int],
            rerank: bool,
            name: str,
            top: int,
    ) -> Dict[str, Any]:
        features = torch.nn.functional.normalize(features, dim=1)
        query = features[[rows[path] for path, _, _ in setting.query]]
        q_pids, q_camids = _labels(setting.query)
        trials = []
        for number, records in enumerate(setting.galleries):
            gallery = features[[rows[path] for path, _, _ in records]]
            distmat = 1 - query @ gallery.t()
            if rerank:
                distmat = torch.as_tensor(re_ranking(
                    distmat.numpy(), (1 - query @ query.t()).numpy(), (1 - gallery @ gallery.t()).numpy()))
            g_pids, g_camids = _labels(records)
            labels = (q_pids, g_pids, q_camids, g_camids)
            result = rank(None, None, *labels, rule=setting.rule, cmc=setting.cmc, distmat=distmat)
            trials.append({
                **{f'R{r}': 100 * float(result.cmc[min(r, len(result.cmc)) - 1]) for r in ranks},
                'mAP': 100 * result.mAP, 'mINP': 100 * result.mINP})
            if number == 0:
                self.ranked[name][setting.name] = RankedLists(
                    setting.query, records, retrieve(distmat, *labels, rule=setting.rule, top=top))
                n_valid = result.n_valid
        return {
            **{metric: float(np.mean([t[metric] for t in trials])) for metric in trials[0]},
            'std': {metric: float(np.std([t[metric] for t in trials])) for metric in trials[0]},
            'trials': trials,
            'queries': len(setting.query), 'valid_queries': n_valid, 'gallery': len(setting.galleries[0]),
            'rule': setting.rule, 'cmc': setting.cmc, 'reranked': rerank,
        }


def _labels(records: Sequence[Record]) -> Tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([pid for _, pid, _ in records]), torch.tensor([camid for _, _, camid in records])


def _to_yaml(config: Mapping[str, Any]) -> str:
    import yaml
    return yaml.safe_dump(dict(config), sort_keys=False)


def format_results(name: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """A target's results as a table for people; in percent."""
    metrics = [m for m in next(iter(results.values())) if m[0] == 'R' and m[1:].isdigit()] + ['mAP', 'mINP']
    width = max(len(setting) for setting in results)
    lines = [f'{name:<{width}}  ' + '  '.join(f'{metric:>6}' for metric in metrics)]
    for setting, result in results.items():
        trials = len(result['trials'])
        lines.append(
            f'{setting:<{width}}  ' + '  '.join(f'{result[metric]:6.2f}' for metric in metrics)
            + (f'  (mean of {trials} trials)' if trials > 1 else ''))
    return '\n'.join(lines)
