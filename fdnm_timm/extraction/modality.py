"""Which modality an image has, told by the folders that it lies in."""
import re
from pathlib import PurePath
from typing import Callable, Dict, List, Optional, Sequence

import numpy as np

from ..data.base import INFRARED, VISIBLE
from ..data.sysu_mm01 import INFRARED_CAMERAS, VISIBLE_CAMERAS
from .images import Listed

__all__ = ['BY_FOLDER', 'LAYOUTS', 'modalities_of', 'modality_by_camera', 'modality_by_folder']

BY_FOLDER = 'auto-by-folder'
_WORDS = {
    **dict.fromkeys(('visible', 'vis', 'rgb', 'color', 'colour'), VISIBLE),
    **dict.fromkeys(('infrared', 'ir', 'nir', 'thermal', 'tir'), INFRARED),
}
_SHOWN = 3


def modality_by_folder(path: str) -> Optional[int]:
    """VISIBLE or INFRARED, None where the folders' names say nothing or do not agree.

    A folder's name counts whole, or its parts between blanks, '_', '-', '.' and ';': "test_nir" is infrared. One that
    says both, such as "rgb-ir", says nothing.
    """
    told = set()
    for folder in PurePath(path).parts[:-1]:
        of_folder = {_WORDS[word] for word in re.split(r'[\s_\-.;]+', folder.lower()) if word in _WORDS}
        if len(of_folder) == 1:
            told |= of_folder
    return told.pop() if len(told) == 1 else None


def modality_by_camera(path: str) -> Optional[int]:
    """VISIBLE or INFRARED of an image in SYSU-MM01's layout, `cam3/0001/0001.jpg`; None elsewhere."""
    folder = PurePath(path).parts[-3:-2]
    for modality, cameras in ((VISIBLE, VISIBLE_CAMERAS), (INFRARED, INFRARED_CAMERAS)):
        if folder and folder[0] in [f'cam{camid}' for camid in cameras]:
            return modality
    return None


LAYOUTS: Dict[Optional[str], Callable[[str], Optional[int]]] = {
    None: modality_by_folder, 'sysu_mm01': modality_by_camera}


def modalities_of(
        entries: Sequence[Listed],
        modality: Optional[int] = None,
        layout: Optional[str] = None,
        default: Optional[int] = None,
) -> np.ndarray:
    """Modality of each image (N,) int8: 0 visible, 1 infrared, -1 unknown.

    Args:
        entries: The images; what a list file says of one comes before all else.
        modality: Of all others; None tells it from their folders.
        layout: 'sysu_mm01', or None for folders that are named after the modality.
        default: Of those whose folders do not tell; None makes them an error.

    Raises:
        ValueError: The modality of an image cannot be told; the message has the first paths.
    """
    by_folder = LAYOUTS[layout]
    found: List[int] = []
    untold: List[str] = []
    for path, listed in entries:
        told = listed if listed is not None else modality if modality is not None else by_folder(path)
        if told is None:
            untold.append(path)
        found.append(-1 if told is None else told)
    if untold and default is None:
        names = ', '.join(f'"{path}"' for path in untold[:_SHOWN]) + (', ...' if len(untold) > _SHOWN else '')
        expected = 'a folder cam1 to cam6 two levels up' if layout else f'folders named {", ".join(_WORDS)}'
        raise ValueError(
            f'The modality of {len(untold)} of {len(entries)} images cannot be told from their folders (none says it, '
            f'or they disagree): {names}. Expected are {expected}. Give --modality, --modality-default, or a list file '
            f'with the modality behind a tab.')
    values = np.array(found, dtype=np.int8)
    if untold:
        assert default is not None
        missing = set(untold)
        values[[path in missing for path, _ in entries]] = default
    return values
