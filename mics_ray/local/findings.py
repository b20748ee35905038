"""The eight findings of the phantom radiographs: what each is called, what shows it, what it is confused with.

One vocabulary for everything simulated: the phantoms are drawn, the tiny interns trained, the simulated mentors speak
and the simulated judge compares by it. None of it is medical knowledge to rely on.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One class of phantom: ``answer`` (gold) and ``synonyms`` that the judge accepts.

    ``evidence`` sentences name what is seen without the answer; ``region`` narrows the eight findings down to two.
    """

    answer: str
    synonyms: tuple[str, ...]
    evidence: tuple[str, ...]
    region: str


REGIONS: dict[str, tuple[str, ...]] = {
    "pleura": (
        "The change lies in the pleural space, between lung and chest wall.",
        "What stands out is at the edge of the lung, in the pleural space.",
    ),
    "lung": (
        "The change lies within the lung itself.",
        "What stands out is inside the aerated lung, away from its edges.",
    ),
    "mediastinum": (
        "The change concerns the shadow between the lungs, at or behind the heart.",
        "What stands out belongs to the middle of the chest, at or behind the heart.",
    ),
    "chest_wall": (
        "The change lies in or on the chest wall, outside the lung.",
        "What stands out belongs to the chest wall and not to the lung.",
    ),
}

FINDINGS: tuple[Finding, ...] = (
    Finding(
        "Pneumothorax",
        ("collapsed lung", "air in the pleural space"),
        (
            "A thin white line runs parallel to the ribs, and no lung markings are seen beyond it.",
            "Beyond a fine pleural line the film is black and empty of vessels.",
        ),
        "pleura",
    ),
    Finding(
        "Pleural effusion",
        ("fluid in the pleural space", "hydrothorax"),
        (
            "The costophrenic angle is blunted by a homogeneous density with a curved upper edge.",
            "A white layer fills the lung base and climbs the side wall like a meniscus.",
        ),
        "pleura",
    ),
    Finding(
        "Lobar pneumonia",
        ("pneumonia", "lobar consolidation", "consolidation"),
        (
            "A dense patch with branching dark bronchi fills one lobe.",
            "One lobe is white and hazy, with air bronchograms running through it.",
        ),
        "lung",
    ),
    Finding(
        "Pulmonary nodule",
        ("lung nodule", "solitary nodule", "coin lesion"),
        (
            "A small round opacity with a sharp edge stands alone.",
            "There is a single coin-shaped spot with smooth margins.",
        ),
        "lung",
    ),
    Finding(
        "Cardiomegaly",
        ("enlarged heart", "heart enlargement"),
        (
            "The heart shadow is wider than half of the chest.",
            "The cardiothoracic ratio is well above one half.",
        ),
        "mediastinum",
    ),
    Finding(
        "Hiatal hernia",
        ("hiatus hernia", "herniated stomach"),
        (
            "A rounded pocket with an air-fluid level projects over the heart shadow.",
            "Behind the heart there is a ring with a flat fluid line and air above it.",
        ),
        "mediastinum",
    ),
    Finding(
        "Rib fracture",
        ("fractured rib", "broken rib"),
        (
            "The line of one rib is interrupted and its ends are offset.",
            "One rib shows a step and a dark gap in its cortex.",
        ),
        "chest_wall",
    ),
    Finding(
        "Cardiac pacemaker",
        ("pacemaker", "implanted pacemaker"),
        (
            "A metal box with a thin wire is projected below the collar bone.",
            "There is a bright generator under the skin, and a lead runs from it towards the heart.",
        ),
        "chest_wall",
    ),
)
