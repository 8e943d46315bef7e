"""Trained models as files that run without this package: ONNX, TorchScript and torch.export's pt2."""
from .exporter import Exported, export_model, open_exported
from .formats import FORMATS
from .network import CHOICES, exportable_network
from .parity import ParityError

__all__ = ['CHOICES', 'FORMATS', 'Exported', 'ParityError', 'export_model', 'exportable_network', 'open_exported']
