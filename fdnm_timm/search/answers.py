"""Search, with answers that can be read and written: paths in place of row numbers, and who is unknown."""
from typing import Any, Dict, List, NamedTuple, Optional, Union

import numpy as np

from ..extraction.features import Features
from .index import Index
from .origin import model_name
from .threshold import Threshold

__all__ = ['Answer', 'Answers', 'Match', 'search']


class Match(NamedTuple):
    """An image of the gallery."""
    path: str
    similarity: float  # cosine


class Answer(NamedTuple):
    """What was found for one query."""
    query: str  # its path
    matches: List[Match]  # nearest first
    known: Optional[bool]  # whether one of the matches reaches the threshold; None where there is no threshold


class Answers(NamedTuple):
    """What was found for all queries, and how."""
    answers: List[Answer]
    top: int
    threshold: Optional[Threshold]
    kind: str  # of the index
    effort: Optional[int]
    gallery_size: int
    dims: int
    folder: Optional[str]  # the index's, None in memory
    metadata: Dict[str, str]  # what the gallery's features say of their model
    warnings: List[str]

    def to_json(self) -> Dict[str, Any]:
        """For a JSON file."""
        return {
            'model': {'name': model_name(self.metadata), **self.metadata},
            'index': {
                'folder': self.folder, 'kind': self.kind, 'exact': self.kind == 'flat', 'effort': self.effort,
                'count': self.gallery_size, 'dims': self.dims},
            'top': self.top,
            'threshold': None if self.threshold is None else vars(self.threshold),
            'warnings': self.warnings,
            'queries': [{
                'path': answer.query,
                'known': answer.known,
                'matches': [{'rank': place, **match._asdict()} for place, match in enumerate(answer.matches, 1)],
            } for answer in self.answers],
        }


def search(
        queries: Features,
        gallery: Union[Index, Features],
        top: int = 10,
        threshold: Union[Threshold, float, None] = None,
        effort: Optional[int] = None,
) -> Answers:
    """Search a gallery for each query.

    Args:
        queries: Embeddings with paths, of the gallery's model.
        gallery: An index, or features, which are searched flat.
        top: Number of places.
        threshold: Cosine below which a query is answered as unknown; see `choose_threshold`. None: the index's own,
            where one is stored.
        effort: See `Index.search`.

    Returns:
        An answer for each query, in order.

    Raises:
        ValueError: Another model, other dimensions, an empty side, embeddings or a threshold that are not finite, or
            numbers out of range.
    """
    index = gallery if isinstance(gallery, Index) else Index(gallery, 'flat')
    if len(queries.paths) == 0:
        raise ValueError('There are no queries: nothing to search for.')
    index.check_model('The queries', queries)
    if threshold is None:
        threshold = index.threshold
    elif not isinstance(threshold, Threshold):
        threshold = Threshold(float(threshold))
    if threshold is not None and not np.isfinite(threshold.value):
        raise ValueError(f'The threshold is {threshold.value}, but a cosine between -1 and 1 is expected.')
    found = index.search(queries.embeddings, top, effort)
    answers = []
    for path, similarity, places in zip(queries.paths, found.similarity, found.places):
        matches = [Match(index.paths[row], float(value)) for row, value in zip(places, similarity) if row >= 0]
        known = None if threshold is None else any(match.similarity >= threshold.value for match in matches)
        answers.append(Answer(path, matches, known))
    return Answers(
        answers, top, threshold, index.kind, effort, len(index), index.dims,
        None if index.folder is None else str(index.folder), dict(index.metadata), _warnings(threshold, len(index)))


def _warnings(threshold: Optional[Threshold], size: int) -> List[str]:
    """A rate of pairs is no rate of searches: each query is compared with the whole gallery."""
    if threshold is None:
        return []
    warnings = list(threshold.warnings)
    if threshold.far is not None and threshold.far * size > 1:
        warnings.append(
            f'FAR {threshold.far:g} is a rate of pairs: an unknown person passes with about '
            f'{threshold.far * size:,.0f} of the {size:,} images of this gallery on average, and is then taken for '
            f'known. For one unknown person in a hundred to pass, ask for FAR {0.01 / size:.0e}.')
    return warnings
