"""The split into training and validation: by patient, stratified, decided by the seed and the patients alone."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from train.export.sample import Sample


def patients(ids: Sequence[str], pictures: Sequence[Sequence[str]]) -> list[str]:
    """For each sample its patient: of those with the same id, or with a picture in common, all get the first id's name.

    ``pictures``: digests for each sample.
    """
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for patient, digests in zip(ids, pictures, strict=True):
        for digest in digests:
            one, other = sorted((find(f"patient {patient}"), find(f"picture {digest}")))
            leader[other] = one  # "patient …" sorts before "picture …", so that a leader is a patient
    return [find(f"patient {patient}").removeprefix("patient ") for patient in ids]


def split(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """(training, validation): about ``share`` of the samples validate, and about that of each outcome and rounds.

    No patient is on both sides.
    """
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.patient].append(sample)
    wanted = {kind: share * count for kind, count in Counter(map(_kind, samples)).items()}
    total = round(share * len(samples))
    chosen: set[str] = set()
    for patient in sorted(groups, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        counts = Counter(map(_kind, groups[patient]))
        after = {kind: wanted[kind] - count for kind, count in counts.items()}
        left = total - len(groups[patient])
        gain = abs(total) - abs(left) + sum(abs(wanted[kind]) - abs(after[kind]) for kind in counts)
        if gain > 0:
            chosen.add(patient)
            wanted |= after
            total = left
    sides: tuple[list[Sample], list[Sample]] = ([], [])
    for sample in samples:
        sides[sample.patient in chosen].append(sample)
    return sides


def _kind(sample: Sample) -> tuple[str, int]:
    return sample.outcome, sample.rounds
