"""The similarity below which nobody is known, from images whose identities are known."""
import csv
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np

from ..data import INFRARED, VISIBLE
from ..extraction.features import Features
from ..metrics import verification

__all__ = ['Threshold', 'choose_threshold', 'pids_of_csv', 'pids_of_folders']


@dataclass(frozen=True)
class Threshold:
    """A similarity, and where it comes from.

    Attributes:
        value: Cosine at and above which two images are taken for one person.
        origin: 'given' or 'validation'.
        far: The false accept rate that was asked for: the part of the pairs of two persons that may pass.
        vr: The part of the pairs of one person that pass.
        num_genuine: Pairs of one person.
        num_impostor: Pairs of two persons.
        pairs: Which images were paired.
        warnings: Why the number may not hold.
    """
    value: float
    origin: str = 'given'
    far: Optional[float] = None
    vr: Optional[float] = None
    num_genuine: Optional[int] = None
    num_impostor: Optional[int] = None
    pairs: Optional[str] = None
    warnings: List[str] = field(default_factory=list)


def pids_of_folders(paths: Sequence[str]) -> List[str]:
    """An image's folder names its person."""
    return [Path(path).parent.name for path in paths]


def pids_of_csv(file: Union[str, os.PathLike], paths: Sequence[str]) -> List[str]:
    """Identities from a CSV file with the columns path and pid.

    Args:
        file: UTF-8, with a header. Other columns are ignored.
        paths: Of the images, as they stand in the file.

    Returns:
        The pid of each path.

    Raises:
        ValueError: A column is missing, a path stands there with two pids, or an image is not there.
    """
    pids: Dict[str, str] = {}
    with open(file, newline='', encoding='utf-8-sig') as lines:
        reader = csv.DictReader(lines)
        missing = {'path', 'pid'} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(
                f'"{file}" has no column {" and no column ".join(sorted(missing))}: its first line must name the '
                f'columns, such as "path,pid".')
        for line in reader:
            path, pid = line['path'], line['pid']
            if not path or not pid:
                raise ValueError(f'"{file}", line {reader.line_num}: a path and a pid are expected, found {line}.')
            if pids.setdefault(path, pid) != pid:
                raise ValueError(
                    f'"{file}", line {reader.line_num}: "{path}" is of {pid!r} here and of {pids[path]!r} above.')
    unknown = [path for path in paths if path not in pids]
    if unknown:
        raise ValueError(
            f'"{file}" has no line for {len(unknown)} of the {len(paths)} images, such as "{unknown[0]}": paths must '
            f'be written as in the features.')
    return [pids[path] for path in paths]


def choose_threshold(validation: Features, pids: Sequence[Any], far: float = 0.01) -> Threshold:
    """The threshold of a given false accept rate on pairs of images of known persons.

    Infrared images are paired with visible ones where there are both, else every image with every other.

    Args:
        validation: Embeddings (N, D), best of persons whom the model was not trained on.
        pids: Identities (N,): numbers or names.
        far: The part of the pairs of two persons that may pass, in (0, 1].

    Returns:
        The threshold, with the pairs that it was chosen on and a warning where they are too few.

    Raises:
        ValueError: Numbers that do not fit, no pair of one person, no pair of two persons, or a `far` outside (0, 1].
    """
    if len(pids) != len(validation.embeddings):
        raise ValueError(f'There are {len(validation.embeddings)} images, but {len(pids)} pids: one each is expected.')
    ids = np.unique(np.asarray([str(pid) for pid in pids]), return_inverse=True)[1].reshape(-1)
    visible, infrared = (np.flatnonzero(validation.modality == value) for value in (VISIBLE, INFRARED))
    if len(visible) and len(infrared):
        return _across(validation, ids, visible, infrared, far)
    return _within(validation, ids, far)


def _verify(validation: Features, ids: np.ndarray, query: np.ndarray, gallery: np.ndarray, far: float) -> Any:
    try:
        return verification(
            query=np.array(validation.embeddings[query]), gallery=np.array(validation.embeddings[gallery]),
            q_pids=ids[query], g_pids=ids[gallery], fars=(far,))
    except ValueError as error:
        raise ValueError(
            f'No threshold can be chosen on the validation set: {error} Identities are the names of the folders that '
            f'the images lie in, or those of a CSV file with the columns path and pid.') from error


def _across(
        validation: Features, ids: np.ndarray, visible: np.ndarray, infrared: np.ndarray, far: float) -> Threshold:
    found = _verify(validation, ids, infrared, visible, far)
    return Threshold(
        found.thresholds[far], 'validation', far, found.vr[far], found.num_genuine, found.num_impostor,
        f'{len(infrared)} infrared with {len(visible)} visible images', found.warnings)


def _within(validation: Features, ids: np.ndarray, far: float) -> Threshold:
    """All with all: every pair is there twice, which changes no rate, and every image with itself, which is no pair."""
    rows = np.arange(len(ids))
    found = _verify(validation, ids, rows, rows, far)
    value, genuine, impostor = found.thresholds[far], found.num_genuine - len(rows), found.num_impostor // 2
    if genuine == 0:
        raise ValueError(
            f'No threshold can be chosen on the validation set: none of its {len(rows)} images shares its identity '
            f'with another. Give two or more images of each person.')
    passed = round(found.vr[far] * found.num_genuine) - (len(rows) if value <= 1 else 0)
    warnings = [
        f'FAR {far} is below 1 / {impostor}, the smallest that {impostor} impostor pairs resolve: VR is that of FAR '
        f'0.'] if far < 1 / impostor else []
    return Threshold(
        value, 'validation', far, passed / genuine, genuine // 2, impostor,
        f'{len(rows)} images with each other', warnings)
