"""FDNM's training and evaluation as a torchreid engine."""
import contextlib
import io
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

import numpy as np
import torch
from timm.layers import convert_sync_batchnorm
from tqdm import tqdm

from ..distributed import Processes
from ..files import write_json, write_text
from ..losses import FDNMLoss
from ..saved import write_outcomes
from .checkpoint import BEST, LAST, load_into, read_checkpoint, require_space, write_checkpoint
from .environment import describe_environment
from .evaluating_engine import EvaluatingEngine
from .step import TrainingStep

__all__ = ['FDNMEngine']


class _NoWriter:
    """In TensorBoard's place on the processes that write nothing."""

    def add_scalar(self, *args: Any) -> None:
        pass

    def close(self) -> None:
        pass


class FDNMEngine(EvaluatingEngine):
    """torchreid's `Engine` for a model that is told each image's modality.

    It is used as torchreid's engines are: `engine.run(save_dir=..., max_epoch=..., eval_freq=..., test_only=...)`. It
    overrides what carries a batch to the model; the evaluation, which extracts the queries and the union of all trials'
    galleries once and follows the benchmark's protocol; and what torchreid 0.2.5 and 1.4 get wrong here (frozen
    parameters, checkpoints without a scheduler, the sampler's epoch, runs that cannot be continued exactly).

    After `run` or `test`, `results[target][setting]` holds R1, R5, R10, R20, mAP and mINP, for faces VR@FAR=1% and the
    like too, in percent, as means over the trials, with 'std' (population) and 'trials'; `outcomes` what became of
    every query, and `ranked` the first places.

    Several processes train one model when each has an engine that knows the others (`processes`) and a data manager
    with its part of each batch: they then share the batches by identities, and the images of an evaluation. `results`,
    `history` and `best` are the same on all of them; `outcomes` and `ranked`, files and prints are the main process's.
    """

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
            amp: str = 'none',
            best_by: str = 'R1',
            accumulate: int = 1,
            compile: Union[bool, str] = False,
            channels_last: bool = False,
            sync_bn: Optional[bool] = None,
            processes: Optional[Processes] = None,
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
            amp: Train under autocast to 'bf16' or 'fp16'; spectra, losses and the evaluation stay in float32.
            best_by: Metric of the first setting by which the best checkpoint is known.
            accumulate: Batches of an optimizer step, whose gradients are averaged.
            compile: Train through torch.compile: True, or the name of a backend. The evaluation stays eager.
            channels_last: Hold images and maps in this memory format.
            sync_bn: With several processes, batch norms see the whole batch; None: where they have GPUs.
            processes: Those that train together, as `distributed.joined` gives them; None for one alone.

        Raises:
            TypeError: The model has no `set_metric_training`.
            ValueError: The model has another number of classes than there are training identities; a setting is not
                known or needs a GPU.
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
        self.device = torch.device('cuda', torch.cuda.current_device()) if self.use_gpu else torch.device('cpu')
        self.processes = processes or Processes()
        self._check_gpu(amp, sync_bn)
        self.memory_format = torch.channels_last if channels_last else torch.preserve_format
        self.model = model.to(self.device).to(memory_format=self.memory_format)
        if not self.processes.alone and (self.use_gpu if sync_bn is None else sync_bn):
            self.model = convert_sync_batchnorm(self.model)  # the parameters stay the optimizer's
        self.model.set_metric_training(True)
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.register_model('model', self.model, optimizer, scheduler)
        self.loss = loss if loss is not None else FDNMLoss()
        self.config = config
        self.progress = progress
        self.step = TrainingStep(self.model, optimizer, self.loss, amp, accumulate, compile, self.processes)
        self.best_by = best_by
        self.results, self.outcomes, self.ranked = {}, {}, {}
        self.history: List[Dict[str, Any]] = []
        self.best: Optional[Dict[str, Any]] = None
        self._save_dir: Optional[Path] = None
        self._frozen = [p for p in self.model.parameters() if not p.requires_grad]
        self._bar: Any = None

    def _check_gpu(self, amp: str, sync_bn: Optional[bool]) -> None:
        if self.use_gpu:
            return
        if amp == 'fp16':
            raise ValueError(
                "train.amp is 'fp16', which takes a CPU minutes a step: train on a GPU, or take bf16 or none.")
        if sync_bn and not self.processes.alone:
            raise ValueError(
                'train.sync_bn is true, but synchronised batch norms need a GPU: leave it at null or false, so that '
                "each process's batch norms see its own part of the batch.")

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
        self._save_dir = folder
        if self.processes.is_main:
            self._begin(folder, resume, bool(kwargs.get('test_only')))
        with self._main_speaks():
            last = folder / 'model' / LAST
            state = self.processes.from_main(
                lambda: read_checkpoint(last) if resume and last.exists() else None)
            if state is not None:
                kwargs['start_epoch'] = self._resume(last, state, max_epoch, kwargs)
            super().run(save_dir=save_dir, max_epoch=max_epoch, **kwargs)
        if self.processes.is_main:
            write_outcomes(folder / 'outcomes.npz', self.outcomes)
            write_json(folder / 'results.json', {
                'results': self.results, 'epochs': max_epoch, 'history': self.history, 'best': self.best})
        return self.results

    def _begin(self, folder: Path, resume: bool, test_only: bool) -> None:
        if not test_only:
            # last, best, a new one of either before it takes the old one's place, and the Hub's format
            require_space(folder, 4 * self._state_bytes())
        if self.config is not None and not resume:
            write_text(folder / 'config.yaml', _to_yaml(self.config))
        write_json(folder / 'environment.json', describe_environment(self.device, self.processes.size))

    @contextlib.contextmanager
    def _main_speaks(self) -> Iterator[None]:
        """Keep the other processes from printing and from writing TensorBoard files."""
        if self.processes.is_main:
            yield
            return
        self.writer = _NoWriter()
        with contextlib.redirect_stdout(io.StringIO()):
            yield

    def _state_bytes(self) -> int:
        """Of a checkpoint; SGD's momentum is as large as the parameters."""
        tensors = [*self.model.state_dict().values(), *self.model.parameters()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def _resume(self, path: Path, state: Mapping[str, Any], max_epoch: int, kwargs: Mapping[str, Any]) -> int:
        """Take up the state of the checkpoint `path`; returns the number of epochs that are done."""
        load_into(
            path, state, model=self.model, optimizer=self.optimizer, scheduler=self.scheduler, scaler=self.step.scaler)
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
        rank = (self.processes.rank,) if self.processes.rank else ()
        seed = np.random.SeedSequence((getattr(self.datamanager, 'seed', 0), self.epoch, *rank)).generate_state(1)
        torch.manual_seed(int(seed[0]))
        self._epoch_sums: Dict[str, float] = {}
        if not self._shows:
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
        self.processes.share_statistics(self.model)
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
        try:
            summary = self.step(images, pids, modality, self.batch_idx, len(self.train_loader))
        except FloatingPointError as error:
            raise FloatingPointError(f'Epoch {self.epoch + 1}, batch {self.batch_idx + 1}: {error}'
                                     f'{self._non_finite(images, data)}') from None
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
        return self._to_device(data['img']), self._to_device(data['pid']), self._to_device(data['modality'])

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
        if not self.processes.is_main:
            return
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
            if self.step.scaler is not None:
                state['scaler'] = self.step.scaler.state_dict()
            write_checkpoint(folder / name / file, state)


def _to_yaml(config: Mapping[str, Any]) -> str:
    import yaml
    return yaml.safe_dump(dict(config), sort_keys=False)
