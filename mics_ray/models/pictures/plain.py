"""A small picture of our own, which may be shown to anybody."""

import hashlib

from PIL import Image

from mics_ray.models.pictures.reading import encode_picture
from mics_ray.models.types import Pictures

SIDE = 64  # pixels; some providers refuse less than 10 or 28


def draw_plain_picture() -> Pictures:
    """One picture of a grey ramp, encoded as a case's are; always the same."""
    file = encode_picture(Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB"), SIDE)
    return Pictures(hashlib.sha256(file).hexdigest(), (file,))
