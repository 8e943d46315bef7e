"""Ranked lists of some queries, as figures show them, and as a file of a run."""
import json
import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Union

import numpy as np
from PIL import Image

from ..data import CrossModalityDataset, Record
from ..files import write_json

__all__ = [
    'SAVED_QUERIES', 'RankedQuery', 'load_image', 'ranked_queries', 'read_ranked', 'relative_path', 'spread',
    'write_ranked',
]

SAVED_QUERIES = 64  # of a setting


class RankedQuery(NamedTuple):
    """A query and its first places; paths are relative to the data set's folder where they lie in it."""
    query: Record
    places: List[Record]  # nearest first; fewer where the protocol's rule leaves fewer


def relative_path(path: str, root: Union[str, os.PathLike]) -> str:
    """A record's path from the data set's folder, with forward slashes; an absolute one where it does not lie in it."""
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return str(Path(path).absolute())


def load_image(dataset: CrossModalityDataset, path: str) -> Image.Image:
    """The RGB image of a path as `relative_path` gives it. Raises DatasetError where it cannot be read."""
    return dataset.load(str(dataset.root / path))


def spread(pids: Sequence[int], number: int) -> List[int]:
    """Places in `pids` of different identities' first ones, evenly over all: nobody chooses what is shown."""
    first: Dict[int, int] = {}
    for place, pid in enumerate(pids):
        first.setdefault(pid, place)
    places = list(first.values())
    return [places[i] for i in np.linspace(0, len(places) - 1, min(number, len(places))).round().astype(int)]


def ranked_queries(lists: Any, dataset: CrossModalityDataset, number: int = SAVED_QUERIES) -> List[RankedQuery]:
    """Some queries of a setting.

    Args:
        lists: What an engine keeps of it, an `engine.RankedLists`.
        dataset: That of the records.
        number: At most so many: all queries where there are no more, else those that `spread` takes.

    Returns:
        The queries in their order.
    """
    def relative(record: Record) -> Record:
        path, pid, camid = record
        return relative_path(path, dataset.root), int(pid), int(camid)

    if len(lists.query) > number:
        rows = spread([pid for _, pid, _ in lists.query], number)
    else:
        rows = list(range(len(lists.query)))
    return [
        RankedQuery(relative(lists.query[row]), [relative(lists.gallery[i]) for i in lists.places[row] if i >= 0])
        for row in rows
    ]


def _as_json(record: Record) -> Dict[str, Any]:
    return dict(zip(('path', 'pid', 'camid'), record))


def _as_record(value: Mapping[str, Any]) -> Record:
    return str(value['path']), int(value['pid']), int(value['camid'])


def write_ranked(path: Union[str, os.PathLike], ranked: Mapping[str, Mapping[str, Sequence[RankedQuery]]]) -> None:
    """Write the queries of [target][setting] as JSON."""
    write_json(path, {
        target: {
            setting: [{**_as_json(query), 'places': [_as_json(record) for record in places]}
                      for query, places in queries]
            for setting, queries in settings.items()}
        for target, settings in ranked.items()})


def read_ranked(path: Union[str, os.PathLike]) -> Dict[str, Dict[str, List[RankedQuery]]]:
    """What `write_ranked` wrote.

    Raises:
        OSError: The file is missing.
        ValueError: It is damaged, or holds something else.
    """
    try:
        value = json.loads(Path(path).read_text(encoding='utf-8'))
        return {
            target: {
                setting: [RankedQuery(_as_record(query), [_as_record(place) for place in query['places']])
                          for query in queries]
                for setting, queries in settings.items()}
            for target, settings in value.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'"{path}" is damaged, or holds no ranked lists ({type(error).__name__}: {error}). Make it again with '
            f'`fdnm evaluate RUN --ranked {path}`.') from error
