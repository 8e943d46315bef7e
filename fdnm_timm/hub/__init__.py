"""Trained models as folders in the Hugging Face Hub's format: written, published, and loaded again."""
from .card import model_card
from .errors import HubError
from .pull import from_pretrained
from .push import Pushed, push_to_hub
from .release import Release, releases
from .save import save_pretrained

__all__ = [
    'HubError', 'Pushed', 'Release', 'from_pretrained', 'model_card', 'push_to_hub', 'releases', 'save_pretrained',
]
