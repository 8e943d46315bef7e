"""SyntheticFaces: drawn by the package, no download; for demos and tests, not for claims about people."""
import os
from typing import ClassVar, Dict, Union

from .oulu_casia import OuluCASIA
from .synthetic import write_oulu_layout

__all__ = ['SyntheticFaces']


class SyntheticFaces(OuluCASIA):
    """Faces drawn from random looks, in Oulu-CASIA NIR-VIS's layout and under its protocol.

    The first use draws the images into `root`; later ones find them there.
    """
    name = 'synthetic_faces'
    published: ClassVar[Dict[str, int]] = {}

    def __init__(
            self,
            root: Union[str, os.PathLike],
            num_train: int = 100,
            num_test: int = 50,
            images_per_modality: int = 12,
            seed: int = 0,
            size: int = 144,
            progress: bool = False,
    ) -> None:
        """
        Args:
            root: Folder of the data set, made where it does not exist.
            num_train: Identities to train on.
            num_test: Test identities.
            images_per_modality: Images of an identity in each modality.
            seed: Of all that is drawn.
            size: Width and height of the images, in pixels.
            progress: Show a progress bar while drawing.

        Raises:
            FileExistsError: `root` holds something else, or the set drawn with other arguments.
            ValueError: An argument lies below its least value.
        """
        write_oulu_layout(
            root, num_train=num_train, num_test=num_test, images_per_modality=images_per_modality, seed=seed, size=size,
            progress=progress)
        super().__init__(root)
