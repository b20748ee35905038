"""The conversation that a request becomes: pictures before the text, or where its question has them."""

import re
from collections.abc import Sequence
from typing import Any

from mics_ray.models.types import Failure, LostCall, Request, decode_options

PLACE = "\ufffc"
"""Stands in the text of a request for a picture, where its options say so (``inline``): Unicode's own sign for that."""
_PLACEHOLDER = re.compile(r"<image>", re.I)


def mark_places(text: str, pictures: int) -> tuple[str, bool]:
    """``text`` with :data:`PLACE` for each ``<image>``, and whether there are any: such a request is ``inline``.

    Raises ``ValueError`` unless there are as many as ``pictures``, or none.
    """
    # A sign of the text's own would be one place too many.
    marked, count = _PLACEHOLDER.subn(PLACE, text.replace(PLACE, " "))
    if count not in (0, pictures):
        raise ValueError(f"{count} <image> in it, but {pictures} picture(s)")
    return marked, count > 0


def build_conversation(request: Request, images: Sequence[object], word: str | None = None) -> list[dict[str, Any]]:
    """The conversation in the form of the OpenAI protocol: pictures in reading order, each at its place in the text
    where the request's options are ``inline``, else all of them before it.

    ``word`` is what a template that takes texts only calls a picture. Raises :class:`LostCall` where places and
    pictures are not as many.
    """
    # The uuid spares vLLM hashing every pixel, and processing a picture that it has seen.
    shown = [
        {"type": "image_pil", "image_pil": image, "uuid": f"{request.pictures}-{number}"}
        for number, image in enumerate(images)
    ]
    system = [{"role": "system", "content": request.system}] if request.system else []
    if decode_options(request.options).get("inline"):
        return [*system, {"role": "user", "content": _place_pictures(request.text, shown, word)}]
    return [*system, {"role": "user", "content": [*shown, {"type": "text", "text": request.text}]}]


def _place_pictures(text: str, shown: Sequence[dict[str, Any]], word: str | None) -> list[dict[str, Any]]:
    pieces = text.split(PLACE)
    if len(pieces) != len(shown) + 1:
        raise LostCall(Failure("pictures", f"{len(shown)} pictures, {len(pieces) - 1} places in the text"))
    if word is not None:
        return [*shown, {"type": "text", "text": word.join(pieces)}]
    parts = [{"type": "text", "text": pieces[0]}]
    for picture, piece in zip(shown, pieces[1:], strict=True):
        parts += [picture, {"type": "text", "text": piece}]
    return [part for part in parts if part.get("text") != ""]
