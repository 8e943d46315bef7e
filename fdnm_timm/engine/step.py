"""A training step: forward, loss of the whole batch, backward, and the optimizer's step when it is due."""
from contextlib import nullcontext
from typing import Any, ContextManager, Dict, Optional, Tuple, Union

import torch

from ..distributed import Processes
from ..losses._distance import full_precision

__all__ = ['AMP', 'TrainingStep']

AMP = {'none': None, 'bf16': torch.bfloat16, 'fp16': torch.float16}


class TrainingStep:
    """Steps of one model, on one process or on several that share each batch.

    `step(images, pids, modality, batch, batches)` takes this process's part of the epoch's batch of that number (from
    0, of so many), and returns the loss of the whole batch, its parts ('loss_id', ...) and its accuracy. Gradients of
    `accumulate` batches are averaged before the optimizer moves; what is left at an epoch's end makes a step of its
    own, averaged over those that there are.
    """

    def __init__(
            self,
            model: torch.nn.Module,
            optimizer: torch.optim.Optimizer,
            loss: torch.nn.Module,
            amp: str = 'none',
            accumulate: int = 1,
            compile: Union[bool, str] = False,
            processes: Optional[Processes] = None,
    ) -> None:
        """
        Args:
            model: An FDNM model in metric training, on its device.
            optimizer: Of the model's parameters.
            loss: Called as `loss(output, pids, modality)`, returns (total, dict of parts).
            amp: Autocast to 'bf16' or 'fp16', the latter with a gradient scaler; 'none' for float32.
            accumulate: Batches of an optimizer step, >= 1.
            compile: Compile the model: True, or the name of a torch.compile backend.
            processes: Those that share the batches.

        Raises:
            ValueError: A setting that is not known.
        """
        if amp not in AMP:
            raise ValueError(f'amp is {amp!r}, but must be one of {", ".join(map(repr, AMP))}.')
        if accumulate < 1:
            raise ValueError(f'accumulate is {accumulate}, but a step needs at least 1 batch.')
        if isinstance(compile, str):
            known = torch.compiler.list_backends()
            if compile not in {*known, *torch.compiler.list_backends(exclude_tags=())}:
                raise ValueError(
                    f'compile is {compile!r}, which torch.compile does not know: give true, or one of '
                    f'{", ".join(known)}.')
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.dtype = AMP[amp]
        self.accumulate = accumulate
        self.compile = compile
        self.processes = processes or Processes()
        self.device = next(model.parameters()).device
        self.scaler = torch.amp.GradScaler(self.device.type) if amp == 'fp16' else None
        self._trained: Optional[Tuple[int, ...]] = None
        self._parallel: Any = model
        self._forward: Any = model

    def _prepare(self) -> None:
        """Wrap the model anew when other parameters are trained, such as after torchreid's `fixbase_epoch`s."""
        trained = tuple(id(p) for p in self.model.parameters() if p.requires_grad)
        if trained == self._trained:
            return
        self._parallel = self._forward = None  # its hooks go first
        self._trained, self._parallel = trained, self.processes.parallel(self.model)
        backend = self.compile if isinstance(self.compile, str) else 'inductor'
        self._forward = torch.compile(self._parallel, backend=backend) if self.compile else self._parallel

    def _communicating(self, due: bool) -> ContextManager:
        return nullcontext() if due or self.processes.alone else self._parallel.no_sync()

    def __call__(
            self,
            images: torch.Tensor,
            pids: torch.Tensor,
            modality: torch.Tensor,
            batch: int = 0,
            batches: int = 1,
    ) -> Dict[str, float]:
        self._prepare()
        first = batch - batch % self.accumulate
        group = min(self.accumulate, batches - first)
        due = batch == first + group - 1
        if batch == first:
            self.optimizer.zero_grad(set_to_none=True)
        with self._communicating(due):
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
                output = self._forward(images, modality)
            if not self.processes.alone:
                output = output._replace(**{
                    name: self.processes.gather(full_precision(rows)) for name, rows in output._asdict().items()})
                pids, modality = self.processes.gather(torch.stack((pids, modality), dim=1)).unbind(dim=1)
            total, parts = self.loss(output, pids, modality)
            mean = total / group
            (mean if self.scaler is None else self.scaler.scale(mean)).backward()
        if due:
            self._move()
        logits = output.logits.detach().mean(dim=(1, 2))
        return {
            'loss': total.item(), **{f'loss_{name}': part.item() for name, part in parts.items()},
            'accuracy': (logits.argmax(dim=1) == pids).float().mean().item(),
        }

    def _move(self) -> None:
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
