"""Which model made some features: embeddings of two models have nothing to do with each other."""
from typing import Mapping

__all__ = ['check_same_model', 'model_name']


def model_name(metadata: Mapping[str, str]) -> str:
    """As a person would call the model."""
    fingerprint = metadata.get('fingerprint', '')
    name = metadata.get('model') or metadata.get('source') or 'an unnamed model'
    return f'{name} ({fingerprint[:12]})' if fingerprint else name


def check_same_model(
        what: str,
        metadata: Mapping[str, str],
        other: str,
        other_metadata: Mapping[str, str],
) -> None:
    """Raise ValueError where both tell their model's weights and these differ.

    Args:
        what: Begins the sentence, in the plural.
        metadata: Of `what`.
        other: What it is to be compared with.
        other_metadata: Of `other`.
    """
    for key, word in (('fingerprint', 'weights'), ('preprocessing', 'preprocessing')):
        mine, its = metadata.get(key), other_metadata.get(key)
        if mine is not None and its is not None and mine != its:
            detail = f' ({mine} and {its})' if key == 'preprocessing' else ''
            raise ValueError(
                f'{what} are of {model_name(metadata)}, but {other} is of {model_name(other_metadata)}: their {word} '
                f'differ{detail}, so nothing can be compared. Embed both with the same model.')
