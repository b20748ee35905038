"""A case's pictures in Ray's object store: put once per worker, referred to by every call."""

from collections import OrderedDict

import ray

from mics_ray.models.types import Pictures

KEPT = 512
"""Picture sets kept by reference; far more than open searches, so that none is put twice."""


class PictureRefs:
    """References by digest, the least recently used one dropped first (Ray frees a set when its last call is over)."""

    def __init__(self) -> None:
        self._refs: OrderedDict[str, ray.ObjectRef[Pictures]] = OrderedDict()

    def put_once(self, pictures: Pictures | None) -> "ray.ObjectRef[Pictures] | None":
        """The reference of ``pictures``; ``None`` for no pictures."""
        if pictures is None:
            return None
        if pictures.digest not in self._refs:
            self._refs[pictures.digest] = ray.put(pictures)
            if len(self._refs) > KEPT:
                self._refs.popitem(last=False)
        self._refs.move_to_end(pictures.digest)
        return self._refs[pictures.digest]
