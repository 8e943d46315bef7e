"""FDNM's training and evaluation as a torchreid engine."""
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from tqdm import tqdm

from ..data import Record
from ..files import write_json, write_text
from ..losses import FDNMLoss
from ..reported import reported
from ._torchreid import Engine
from .checkpoint import BEST, LAST, load_into, read_checkpoint, require_space, write_checkpoint
from .environment import describe_environment
from .evaluation import Outcomes, RankedLists, evaluate_setting, metrics_of, needed_records
from .results import format_results, write_outcomes

__all__ = ['FDNMEngine']


class FDNMEngine(Engine):
    """torchreid's `Engine` for a model that is told each image's modality.

    It is used as torchreid's engines are: `engine.run(save_dir=..., max_epoch=..., eval_freq=..., test_only=...)`. It
    overrides what carries a batch to the model; the evaluation, which extracts the queries and the union of all trials'
    galleries once and follows the benchmark's protocol; and what torchreid 0.2.5 and 1.4 get wrong here (frozen
    parameters, checkpoints without a scheduler, the sampler's epoch, runs that cannot be continued exactly).

    After `run` or `test`, `results[target][setting]` holds R1, R5, R10, R20, mAP and mINP, for faces VR@FAR=1% and the
    like too, in percent, as means over the trials, with 'std' (population) and 'trials'; `outcomes` what became of
    every query, and `ranked` the first places.
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
            best_by: str = 'R1',
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
            best_by: Metric of the first setting by which the best checkpoint is known.

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
        self.best_by = best_by
        self.results: Dict[str, Dict[str, Any]] = {}
        self.outcomes: Dict[str, Dict[str, Outcomes]] = {}
        self.ranked: Dict[str, Dict[str, RankedLists]] = {}
        self.history: List[Dict[str, Any]] = []
        self.best: Optional[Dict[str, Any]] = None
        self._save_dir: Optional[Path] = None
        self._frozen = [p for p in self.model.parameters() if not p.requires_grad]
        self._bar: Any = None

    # training

    def run(
            self,
            save_dir: str = 'log',
            max_epoch: int = 0,
            resume: bool = False,
            **kwargs: Any,
    ) -> Dict[str, Dict[str, Any]]:
        """Train and evaluate, or only evaluate; further arguments as for torchreid's `Engine.run`.

        Writes config.yaml and environment.json at the start, model/model-last.pth.tar after every epoch,
        model/model-best.pth.tar and TensorBoard scalars on the way, and results.json and outcomes.npz at the end into
        `save_dir`. However a run ends before, `resume` continues it from the last whole epoch to the same end: the
        batches, their augmentation and what else is random depend on the seed, the epoch and the place in it alone.

        Args:
            save_dir: Folder of the run.
            max_epoch: Epochs to train.
            resume: Continue from `save_dir`/model/model-last.pth.tar; from the start where that is not there yet.

        Returns:
            `results`.

        Raises:
            CheckpointError: The checkpoint to resume from is damaged or of another model.
            OSError: There is too little room for the run's files, before training.
        """
        folder = Path(save_dir)
        test_only = bool(kwargs.get('test_only'))
        if not test_only:
            # last, best, a new one of either before it takes the old one's place, and the Hub's format
            require_space(folder, 4 * self._state_bytes())
        if self.config is not None and not resume:
            write_text(folder / 'config.yaml', _to_yaml(self.config))
        write_json(folder / 'environment.json', describe_environment(self.device))
        self._save_dir = folder
        if resume and (folder / 'model' / LAST).exists():
            kwargs['start_epoch'] = self._resume(folder / 'model' / LAST, max_epoch, kwargs)
        super().run(save_dir=save_dir, max_epoch=max_epoch, **kwargs)
        write_outcomes(folder / 'outcomes.npz', self.outcomes)
        write_json(folder / 'results.json', {
            'results': self.results, 'epochs': max_epoch, 'history': self.history, 'best': self.best})
        return self.results

    def _state_bytes(self) -> int:
        """Of a checkpoint; SGD's momentum is as large as the parameters."""
        tensors = [*self.model.state_dict().values(), *self.model.parameters()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def _resume(self, path: Path, max_epoch: int, kwargs: Mapping[str, Any]) -> int:
        """Take up the state of a checkpoint; returns the number of epochs that are done."""
        state = read_checkpoint(path)
        load_into(path, state, model=self.model, optimizer=self.optimizer, scheduler=self.scheduler)
        done = int(state['epoch'])
        progress = state.get('progress', {})
        self.history, self.best = progress.get('history', []), progress.get('best')
        self.epoch = done - 1
        freq = kwargs.get('eval_freq', -1)
        due = freq > 0 and done % freq == 0 and done >= kwargs.get('start_eval', 0) and done != max_epoch
        if due and not progress.get('evaluated', True):  # the run ended between an epoch and its evaluation
            self.save_model(self.epoch, self.test(ranks=kwargs.get('ranks', (1, 5, 10, 20))), str(path.parents[1]))
        return done

    def train(self, print_freq: int = 10, fixbase_epoch: int = 0, open_layers: Any = None) -> None:
        loader = self.datamanager.train_loader
        if hasattr(loader.sampler, 'set_epoch'):
            loader.sampler.set_epoch(self.epoch)
        # dropout and the like; batches and augmentation have seeds of their own
        seed = np.random.SeedSequence((getattr(self.datamanager, 'seed', 0), self.epoch)).generate_state(1)
        torch.manual_seed(int(seed[0]))
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
        if self._save_dir is not None:
            self._write_state(self._save_dir, LAST, evaluated=False)

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
        """Write save_dir/model/model-last.pth.tar, and model-best.pth.tar where the model is the best by `best_by`.

        They have torchreid's format. Its own method needs a scheduler, never learns which is best, and stores a NumPy
        number that current torch refuses to load.
        """
        value = float(self._leading_result()[self.best_by]) if self.results else 100 * float(rank1)
        is_best = is_best or self.best is None or value > self.best['value']
        if is_best:
            self.best = {'epoch': epoch + 1, 'metric': self.best_by, 'value': value}
        for file in (LAST, BEST) if is_best else (LAST,):
            self._write_state(Path(save_dir), file, evaluated=True, epoch=epoch, rank1=float(rank1))

    def _write_state(
            self,
            folder: Path,
            file: str,
            evaluated: bool,
            epoch: Optional[int] = None,
            rank1: float = 0.,
    ) -> None:
        for name in self.get_model_names():
            state = {
                'state_dict': self._models[name].state_dict(),
                'epoch': (self.epoch if epoch is None else epoch) + 1,
                'rank1': rank1,
                'optimizer': self._optims[name].state_dict(),
                'progress': {'history': self.history, 'best': self.best, 'evaluated': evaluated},
            }
            if self._scheds[name] is not None:
                state['scheduler'] = self._scheds[name].state_dict()
            write_checkpoint(folder / name / file, state)

    # evaluation

    def extract_features(self, input: torch.Tensor, modality: Any = None) -> torch.Tensor:
        """Embeddings (B, head_hidden_size) of images (B, C, H, W); for `modality` see `layers.TwoStream`."""
        return self.model.forward_head(self.model.forward_features(input, modality), pre_logits=True)

    def parse_data_for_eval(self, data: Mapping[str, Any]) -> Tuple[torch.Tensor, torch.Tensor]:
        """(images, modality) of a batch, on the engine's device."""
        return data['img'].to(self.device, non_blocking=True), data['modality'].to(self.device, non_blocking=True)

    @torch.no_grad()
    def embed(self, name: str, records: Sequence[Record], flip: bool = False) -> torch.Tensor:
        """Embeddings of a target's records (N, head_hidden_size), in their order, on the CPU.

        With `flip`, the mean of the image's and its mirror image's.
        """
        self.set_model_mode('eval')
        loader = self.datamanager.loader_of(name, records)
        embeddings = []
        for data in tqdm(loader, desc=f'embed {name}', unit='batch', disable=not self.progress, leave=False):
            images, modality = self.parse_data_for_eval(data)
            features = self.extract_features(images, modality)
            if flip:
                features = (features + self.extract_features(images.flip(-1), modality)) / 2
            embeddings.append(features.float().cpu())
        return torch.cat(embeddings)

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
        settings = self.datamanager.settings[name]
        records = needed_records(settings)
        features = self.embed(name, records, flip)
        rows = {record[0]: row for row, record in enumerate(records)}
        self.results[name], self.ranked[name], self.outcomes[name] = {}, {}, {}
        for setting in settings:
            result, outcomes, lists = evaluate_setting(setting, rows, features, ranks, rerank, top)
            result.update(flipped=flip, reported_as=setting.reported, reported=reported(name, setting.reported))
            self.results[name][setting.name] = result
            self.outcomes[name][setting.name] = outcomes
            self.ranked[name][setting.name] = lists


def _to_yaml(config: Mapping[str, Any]) -> str:
    import yaml
    return yaml.safe_dump(dict(config), sort_keys=False)
