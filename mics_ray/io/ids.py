"""A set of case ids that stays small with millions of them."""

import hashlib


class IdSet:
    """Keeps an 8-byte hash of each id. Among a million ids, one pair collides with a chance of 3 in 100 million."""

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def add(self, case_id: str) -> bool:
        """Add an id; whether it was not there before."""
        before = len(self._hashes)
        self._hashes.add(_hash(case_id))
        return len(self._hashes) > before

    def __contains__(self, case_id: object) -> bool:
        return isinstance(case_id, str) and _hash(case_id) in self._hashes

    def __len__(self) -> int:
        return len(self._hashes)


def _hash(case_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(case_id.encode(), digest_size=8).digest(), "big")
