"""The formats that a network is written in, each with what writes a file and what runs it."""
import io
import os
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

import numpy as np
import torch
import torch.nn as nn

__all__ = ['FACTS', 'FORMATS', 'INPUTS', 'OUTPUT', 'Format', 'Run', 'format_of']

INPUTS, OUTPUT = ('images', 'modality'), 'embedding'
FACTS = 'fdnm_timm'  # under this name a file carries what has to be known of it, as JSON

Run = Callable[..., np.ndarray]  # images, and modality where the file has that input -> embeddings


class Format(NamedTuple):
    """A format of files."""
    suffix: str
    write: Callable[[nn.Module, Tuple[torch.Tensor, ...], Path, str, Optional[int]], None]
    open: Callable[[Path], Tuple[Run, str]]  # what runs the file, and the facts that it carries, '' for none


def _dynamic_batch(example: Tuple[torch.Tensor, ...]) -> Dict[str, Dict[int, Any]]:
    batch = torch.export.Dim('batch', min=1)
    return {name: {0: batch} for name, _ in zip(INPUTS, example)}


def _on_tensors(function: Callable[..., torch.Tensor]) -> Run:
    def run(*inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return function(*[torch.from_numpy(array) for array in inputs]).numpy()

    return run


def _write_from_memory(path: Path, save: Callable[[io.BytesIO], None]) -> None:
    """torch's own writing of such files aborts the whole process where the disk is full."""
    memory = io.BytesIO()
    save(memory)
    path.write_bytes(memory.getbuffer())


def _import_onnx() -> Any:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  # reason: torch.onnx imports it when it is too late for a helpful message
    except ImportError as error:
        raise ImportError(f'{error}. ONNX files need it: pip install "fdnm_timm[export]".') from error
    return onnx, onnxruntime


_LEAST_OPSET = 18  # of torch's exporter


def _check_opset(opset: int, possible: bool) -> None:
    """torch's exporter itself keeps to its own operator set where it cannot convert to this one, and only logs it."""
    if not possible:
        raise ValueError(
            f'opset is {opset}, which the exporter cannot write: {_LEAST_OPSET} is the oldest, and how new one may be '
            f'depends on the installed onnx. Leave it out, or give another.')


def _write_onnx(
        network: nn.Module,
        example: Tuple[torch.Tensor, ...],
        path: Path,
        facts: str,
        opset: Optional[int],
) -> None:
    onnx, _ = _import_onnx()
    if opset is not None:
        _check_opset(opset, _LEAST_OPSET <= opset <= onnx.defs.onnx_opset_version())
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that both inputs have one batch dimension, as they are meant to
        program = torch.onnx.export(
            network, example, dynamo=True, opset_version=opset, input_names=list(INPUTS[:len(example)]),
            output_names=[OUTPUT], dynamic_shapes=_dynamic_batch(example), verbose=False)
    assert program is not None
    if opset is not None:
        _check_opset(opset, program.model.opset_imports.get('') == opset)
    program.model.metadata_props[FACTS] = facts
    program.save(path, external_data=False)


def _open_onnx(path: Path) -> Tuple[Run, str]:
    _, onnxruntime = _import_onnx()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(os.fspath(path), options, providers=['CPUExecutionProvider'])
    except Exception as error:  # onnxruntime's own are no subclasses of anything narrower
        raise RuntimeError(
            f'onnxruntime {onnxruntime.__version__} cannot load "{path}" ({error}). If the file is whole, its '
            f'operators may be too new: export it with a lower opset, or upgrade onnxruntime.') from error
    names = [given.name for given in session.get_inputs()]

    def run(*inputs: np.ndarray) -> np.ndarray:
        return session.run([OUTPUT], dict(zip(names, inputs)))[0]

    return run, session.get_modelmeta().custom_metadata_map.get(FACTS, '')


def _write_torchscript(
        network: nn.Module,
        example: Tuple[torch.Tensor, ...],
        path: Path,
        facts: str,
        opset: Optional[int],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch.jit announces its retirement
        scripted = torch.jit.freeze(torch.jit.script(network))
        _write_from_memory(path, lambda file: torch.jit.save(scripted, file, _extra_files={FACTS: facts}))


def _open_torchscript(path: Path) -> Tuple[Run, str]:
    facts: Dict[str, Any] = {FACTS: b''}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        module = torch.jit.load(os.fspath(path), _extra_files=facts)
    return _on_tensors(module), bytes(facts[FACTS]).decode()


def _write_pt2(
        network: nn.Module,
        example: Tuple[torch.Tensor, ...],
        path: Path,
        facts: str,
        opset: Optional[int],
) -> None:
    program = torch.export.export(network, example, dynamic_shapes=_dynamic_batch(example), strict=False)
    _write_from_memory(path, lambda file: torch.export.save(program, file, extra_files={FACTS: facts}))


def _open_pt2(path: Path) -> Tuple[Run, str]:
    facts: Dict[str, Any] = {FACTS: ''}
    program = torch.export.load(path, extra_files=facts)
    return _on_tensors(program.module()), facts[FACTS]


FORMATS: Dict[str, Format] = {
    'onnx': Format('.onnx', _write_onnx, _open_onnx),
    'torchscript': Format('.pt', _write_torchscript, _open_torchscript),
    'pt2': Format('.pt2', _write_pt2, _open_pt2),
}


def format_of(path: Path, name: Optional[str] = None) -> str:
    """The name of a file's format, told by its suffix where it is not given.

    Raises:
        ValueError: The format is not known, or the suffix is another format's or none's.
    """
    known = ', '.join(f'{key} ("{value.suffix}")' for key, value in FORMATS.items())
    if name is not None and name not in FORMATS:
        raise ValueError(f'format is {name!r}, but must be one of {known}.')
    told = next((key for key, value in FORMATS.items() if value.suffix == path.suffix.lower()), None)
    if told is None or name not in (None, told):
        wanted = f'a file of the format {name} ends in "{FORMATS[name].suffix}"' if name else f'the formats are {known}'
        raise ValueError(f'The file "{path}" ends in "{path.suffix}", but {wanted}: give it another name.')
    return told
