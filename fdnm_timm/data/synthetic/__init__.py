"""SyntheticVI and SyntheticFaces: drawn by the package, in visible light and in the near infrared.

**SyntheticVI** has people, seen by the six cameras of SYSU-MM01. A person is a small articulated figure (body, hair,
garments, things carried) drawn from ``(seed, pid)``. A camera is a place (view, background, light, noise) drawn from
``(seed, camid)``. An image adds pose, framing and noise drawn from ``(seed, pid, camid, index)``. A material has a
colour and, drawn independently, a reflectance in the near infrared, for most dyes let it pass: colour says nothing
about brightness in the infrared. A dyed pattern vanishes there, a woven one stays. What both modalities share is the
body, the cut and length of the garments, what is worn and carried, and the woven patterns.

**SyntheticFaces** has faces, aligned as LightCNN's crops. A face is drawn from ``(seed, pid)``: the shapes of head,
jaw, eyes, brows, nose, mouth, ears, hair and beard, lines, moles, scars, glasses. An image adds, drawn from ``(seed,
pid, modality, index)``, how the head is held, an expression, clothes, the error of the alignment, light, background,
blur and noise, and glasses may be off. Visible light comes from any side and shows skin, lips, hair and irises in their
colours. The near infrared's lamp stands beside the camera, so that hardly anything is in the shade; skin of any colour
is bright, lips are nearly as bright as skin, freckles vanish, and hair, brows, beards, irises and frames have a
reflectance drawn independently of their colour, so that hair that is darker than the skin in one modality is often
brighter in the other. What both modalities share is geometry, never brightness: the parts are painted without knowing
the modality, which only chooses the tones.

Nothing is downloaded. The bytes depend on the versions of NumPy and Pillow only as far as these change their random
streams, their rasteriser or their JPEG encoder.
"""
from .face_layout import write_buaa_layout, write_casia_layout, write_oulu_layout
from .faces import draw_face
from .image import draw_person
from .layout import write_llcm_layout, write_regdb_layout, write_sysu_layout
from .places import INFRARED_CAMERAS, VISIBLE_CAMERAS

__all__ = [
    'INFRARED_CAMERAS', 'VISIBLE_CAMERAS', 'draw_face', 'draw_person', 'write_buaa_layout', 'write_casia_layout',
    'write_llcm_layout', 'write_oulu_layout', 'write_regdb_layout', 'write_sysu_layout',
]
