"""The one import of FAISS, and what to install where it is missing."""
from typing import Any

try:
    import faiss as _faiss
except ImportError as error:
    raise ImportError(f'{error}. Searching needs FAISS: pip install "fdnm_timm[search]".') from error

__all__ = ['faiss']

faiss: Any = _faiss  # its types leave out much of what is there
