"""A trained model's embeddings of many images: which images, which model, and the file that the result goes into."""
from .embedder import Embedder, load_embedder
from .features import Features, read_features, write_features
from .images import list_images

__all__ = ['Embedder', 'Features', 'list_images', 'load_embedder', 'read_features', 'write_features']
