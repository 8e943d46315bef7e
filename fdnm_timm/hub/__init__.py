"""Trained models as folders in the Hugging Face Hub's format."""
from .save import save_pretrained

__all__ = ['save_pretrained']
