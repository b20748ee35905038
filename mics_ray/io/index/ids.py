"""Sets of ids as hashes of eight bytes: a million of them take some megabytes."""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
"""The :func:`hash_id` of some ids."""

_MERGED = 8
"""Hashes of which one comes to this many sorted ones, or more, are sorted in; fewer are kept beside them."""
_BESIDE = 4096
"""Hashes that are kept beside the sorted ones whatever their number: in a set each takes ten times the memory."""


def hash_id(case_id: str) -> int:
    """What sets of ids keep of one: 8 bytes of a digest as a whole number."""
    return int.from_bytes(hashlib.blake2b(case_id.encode(), digest_size=8).digest(), "big")


class IdSet:
    """Keeps an 8-byte hash of each id. Among a million ids, one pair collides with a chance of 3 in 100 million."""

    __slots__ = ("_more", "_sorted")

    def __init__(self, ids: Iterable[str] = ()) -> None:
        # Of an array of numpy's one element costs three times as much; a set takes ten times the memory.
        self._sorted = array("Q")
        self._more = set(map(hash_id, ids))

    def add(self, case_id: str) -> bool:
        """Add an id; whether it was not there before."""
        return self.add_hash(hash_id(case_id))

    def add_hash(self, hashed: int) -> bool:
        """:meth:`add` by the id's :func:`hash_id`."""
        if _is_among(self._sorted, hashed):
            return False
        before = len(self._more)
        self._more.add(hashed)
        added = len(self._more) > before
        if added and before >= max(_BESIDE, len(self._sorted) // _MERGED):
            self._sorted, self._more = array("Q", self.sort_hashes().tobytes()), set()
        return added

    def add_hashes(self, hashes: Hashes) -> None:
        """:meth:`add_hash` of many."""
        if len(hashes) * _MERGED < len(self._sorted):
            for hashed in hashes.tolist():
                self.add_hash(hashed)
            return
        # numpy's own union takes ten times as long: it hashes them.
        together = np.sort(np.concatenate([self.sort_hashes(), hashes]))
        first = np.ones(len(together), bool)
        first[1:] = together[1:] != together[:-1]
        self._sorted, self._more = array("Q", together[first].tobytes()), set()

    def has_hashes(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Of each, whether it is one of the set's."""
        found = np.zeros(len(hashes), bool)
        if self._sorted:
            known = np.frombuffer(self._sorted, np.uint64)
            # In ascending order: each look begins where the one before ended, in memory that is at hand.
            order = np.argsort(hashes)
            asked = hashes[order]
            found[order] = known[np.minimum(np.searchsorted(known, asked), len(known) - 1)] == asked
        if self._more:
            found |= np.fromiter((hashed in self._more for hashed in hashes.tolist()), bool, len(hashes))
        return found

    def sort_hashes(self) -> Hashes:
        """The hashes in ascending order: what many processes can share, where each would build a set of its own."""
        known = np.frombuffer(self._sorted, np.uint64) if self._sorted else np.empty(0, np.uint64)
        more = np.fromiter(self._more, np.uint64, len(self._more))
        return np.sort(np.concatenate([known, more]))

    def __contains__(self, case_id: object) -> bool:
        if not isinstance(case_id, str):
            return False
        hashed = hash_id(case_id)
        return hashed in self._more or _is_among(self._sorted, hashed)

    def __len__(self) -> int:
        return len(self._sorted) + len(self._more)


class SortedHashes:
    """The ids of :meth:`IdSet.sort_hashes`, looked up by their :func:`hash_id`."""

    __slots__ = ("_view",)

    def __init__(self, hashes: Hashes) -> None:
        self._view = np.ascontiguousarray(hashes, np.uint64).data

    def __contains__(self, hashed: object) -> bool:
        return isinstance(hashed, int) and _is_among(self._view, hashed)


def _is_among(hashes: "array[int] | memoryview[int]", hashed: int) -> bool:
    at = bisect_left(hashes, hashed)
    return at < len(hashes) and hashes[at] == hashed
