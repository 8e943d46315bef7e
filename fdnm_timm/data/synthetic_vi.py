"""SyntheticVI: drawn by the package, no download; for demos and tests, not for claims about people."""
import os
from typing import ClassVar, Dict, Union

from .synthetic import write_sysu_layout
from .sysu_mm01 import SYSUMM01

__all__ = ['SyntheticVI']


class SyntheticVI(SYSUMM01):
    """People drawn from random looks, in SYSU-MM01's layout and under its protocol.

    The first use draws the images into `root`; later ones find them there.
    """
    name = 'synthetic_vi'
    folders = ('synthetic_vi',)
    published: ClassVar[Dict[str, int]] = {}

    def __init__(
            self,
            root: Union[str, os.PathLike],
            num_train: int = 100,
            num_val: int = 20,
            num_test: int = 50,
            images_per_camera: int = 8,
            seed: int = 0,
            height: int = 144,
            width: int = 72,
            progress: bool = False,
            gallery_draw: str = 'agw',
    ) -> None:
        """
        Args:
            root: Folder of the data set, made where it does not exist.
            num_train: Identities to train on.
            num_val: Identities of SYSU-MM01's validation list, which are trained on too.
            num_test: Test identities.
            images_per_camera: Images of an identity and camera, at most.
            seed: Of all that is drawn.
            height: Of the images, in pixels.
            width: Of the images, in pixels.
            progress: Show a progress bar while drawing.
            gallery_draw: As for `SYSUMM01`.

        Raises:
            FileExistsError: `root` holds something else, or the set drawn with other arguments.
        """
        write_sysu_layout(
            root, num_train=num_train, num_val=num_val, num_test=num_test, images_per_camera=images_per_camera,
            seed=seed, height=height, width=width, progress=progress)
        super().__init__(root, gallery_draw)
