"""What a face is made of, and the tones of it in visible light or in the near infrared.

This is all that the modality changes before the light and the camera: the parts themselves are painted without knowing
it.
"""
from dataclasses import dataclass
from typing import Tuple

import numpy as np

from .colours import COLOURS, RGB, draw_colour, mix, shade, tone
from .face_looks import FaceLooks, Stuff

__all__ = ['Inks', 'draw_inks']


@dataclass(frozen=True)
class Inks:
    """Tones by what they are for; of the pairs, the second tone is the rarer: in the shade, at the rim, or thin."""

    skin: RGB
    fold: RGB
    crease: RGB
    lip: Tuple[RGB, RGB]
    mouth: RGB
    teeth: RGB
    white: RGB
    lash: RGB
    iris: Tuple[RGB, RGB]
    pupil: RGB
    glint: RGB
    nostril: RGB
    brow: RGB
    hair: Tuple[RGB, RGB]
    buzz: RGB
    beard: Tuple[RGB, RGB]
    mole: RGB
    scar: RGB
    freckle: RGB
    frame: RGB
    cloth: RGB


def _seen(stuff: Stuff, infrared: bool) -> RGB:
    return tone(infrared, stuff.colour, stuff.reflectance)


def draw_inks(looks: FaceLooks, infrared: bool, rng: np.random.Generator) -> Inks:
    """The tones of one image, of which clothes and pupils are its own.

    In the near infrared skin of any colour is bright, shadows in it are faint and lips, freckles and blood all but
    vanish; hair, brows, irises and frames have a reflectance that their colour does not tell.
    """
    cloth = tone(infrared, draw_colour(rng, COLOURS), rng.uniform(0.1, 0.9))
    bright_pupil = rng.random() < 0.3
    skin, hair, iris = _seen(looks.skin, infrared), _seen(looks.hair, infrared), _seen(looks.iris, infrared)
    beard = _seen(looks.beard_hair, infrared)
    deep = 0.84 if infrared else 0.70  # of shadows in folds of the skin
    lip = shade(skin, looks.lip.reflectance) if infrared else looks.lip.colour
    lash = tone(infrared, (30, 22, 20), 0.26)
    return Inks(
        skin=skin,
        fold=shade(skin, deep),
        crease=shade(skin, deep - 0.16),
        lip=(lip, shade(lip, 0.95 if infrared else 0.82)),
        mouth=tone(infrared, (54, 22, 22), 0.20),
        teeth=tone(infrared, (224, 218, 202), 0.60),
        white=tone(infrared, (226, 222, 216), 0.52),
        lash=lash,
        iris=(iris, shade(iris, 0.72)),
        pupil=tone(infrared, (14, 12, 12), 0.85 if bright_pupil else 0.08),
        glint=(250, 250, 250),
        nostril=mix(shade(skin, 0.4), lash, 0.4),
        brow=_seen(looks.brow, infrared),
        hair=(hair, shade(hair, 0.78)),
        buzz=mix(skin, hair, 0.55),
        beard=(beard, mix(skin, beard, 0.4)),
        mole=shade(skin, 0.62) if infrared else mix(skin, (52, 34, 28), 0.75),
        scar=shade(skin, 1.18 if infrared else 1.22),
        freckle=skin if infrared else mix(skin, (140, 86, 54), 0.45),
        frame=_seen(looks.frame, infrared),
        cloth=cloth,
    )
