"""Draws phantom chest radiographs: 56 x 56 grey pictures that show one of the eight findings, and nothing of a patient.

Lengths and places are fractions of the picture's side (x to the right, y down); grey values are 0 (air) to 255 (metal).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SIDE = 56
FAINT_SHARE = 0.45
FAINT = (0.15, 0.45)
_FINE = 4 * SIDE  # drawn larger and scaled down, so that thin lines fade as they do on film

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chest:
    """The anatomy of one phantom. ``side`` is the lung that shows the finding: -1 left in the picture, 1 right."""

    side: int
    middle: float
    top: float
    half_width: float
    height: float
    heart: float
    lung_grey: int
    rib_grey: int

    @property
    def base(self) -> float:
        """Height of the diaphragm."""
        return self.top + self.height

    @property
    def lung_x(self) -> float:
        """Middle of the lung that shows the finding."""
        return self.middle + self.side * self.half_width * 0.55

    def place_at(self, across: float, down: float) -> Point:
        """A place by its distance from the midline (1: the lung's outer edge, on ``side``) and its depth (0..1)."""
        return self.middle + self.side * across * self.half_width, self.top + down * self.height


class Film:
    """A grey picture with the few strokes that phantoms need; ``alpha`` 0..1 mixes a stroke with what lies below."""

    def __init__(self, grey: int) -> None:
        self.picture = Image.new("L", (_FINE, _FINE), grey)

    def _blend_stroke(self, grey: int, stroke: Callable[[ImageDraw.ImageDraw], None], blur: float = 0.0) -> None:
        mask = Image.new("L", (_FINE, _FINE), 0)
        stroke(ImageDraw.Draw(mask))
        if blur:
            mask = mask.filter(ImageFilter.BoxBlur(blur * _FINE))
        self.picture.paste(grey, (0, 0), mask)

    def ellipse(self, centre: Point, radii: Point, grey: int, alpha: float = 1.0, blur: float = 0.0) -> None:
        """Fill an ellipse."""
        (x, y), (rx, ry) = centre, radii
        box = [(x - rx) * _FINE, (y - ry) * _FINE, (x + rx) * _FINE, (y + ry) * _FINE]
        self._blend_stroke(grey, lambda pen: pen.ellipse(box, fill=round(255 * alpha)), blur)

    def polygon(self, points: Iterable[Point], grey: int, alpha: float = 1.0, blur: float = 0.0) -> None:
        """Fill a polygon."""
        corners = [(x * _FINE, y * _FINE) for x, y in points]
        self._blend_stroke(grey, lambda pen: pen.polygon(corners, fill=round(255 * alpha)), blur)

    def draw_lines(self, paths: Iterable[Sequence[Point]], width: float, grey: int, alpha: float = 1.0) -> None:
        """Draw open lines."""
        thick, fill = max(1, round(width * _FINE)), round(255 * alpha)

        def stroke(pen: ImageDraw.ImageDraw) -> None:
            for path in paths:
                pen.line([(x * _FINE, y * _FINE) for x, y in path], fill=fill, width=thick, joint="curve")

        self._blend_stroke(grey, stroke)


def _draw_proportions(rng: np.random.Generator, enlarged: bool) -> Chest:
    half_width = rng.uniform(0.33, 0.39)
    ratio = rng.uniform(0.53, 0.64) if enlarged else rng.uniform(0.38, 0.47)
    return Chest(
        side=int(rng.choice((-1, 1))),
        middle=rng.uniform(0.46, 0.54),
        top=rng.uniform(0.10, 0.17),
        half_width=half_width,
        height=rng.uniform(0.60, 0.68),
        heart=ratio * half_width,
        lung_grey=int(rng.integers(45, 75)),
        rib_grey=int(rng.integers(110, 150)),
    )


def _rib_path(chest: Chest, side: int, level: float, points: int = 9) -> list[Point]:
    """One rib: from the spine outwards and down along the chest wall."""
    angles = [pi * (0.5 - 0.62 * index / (points - 1)) for index in range(points)]
    inner = chest.middle + side * 0.06
    reach = chest.half_width - 0.07
    drop = chest.height * 0.16
    y = chest.top + level * chest.height
    return [(inner + side * reach * cos(angle), y - drop * sin(angle) + drop) for angle in angles]


def _draw_vessels(film: Film, chest: Chest, side: int, rng: np.random.Generator, reach: float) -> None:
    """Vessels from the hilum outwards, as far as ``reach`` of the lung's width."""
    hilum = (chest.middle + side * 0.09, chest.top + chest.height * 0.5)
    vessels = []
    for angle in np.linspace(-1.15, 1.15, 7) + rng.uniform(-0.12, 0.12, 7):
        length = rng.uniform(0.75, 1.0) * (reach * chest.half_width - 0.08) / max(cos(angle), 0.75)
        vessels.append((hilum, (hilum[0] + side * length * cos(angle), hilum[1] + length * 1.15 * sin(angle))))
    film.draw_lines(vessels, 0.014, 150, rng.uniform(0.3, 0.5))


def _draw_anatomy(rng: np.random.Generator, chest: Chest, broken: int | None, free: bool) -> Film:
    """A chest without a finding, but for the rib number ``broken``; ``free`` leaves one lung's outer part unmarked."""
    film = Film(int(rng.integers(8, 22)))
    film.ellipse((chest.middle, 0.62), (chest.half_width + 0.10, 0.62), 125)
    for side in (-1, 1):
        centre = (chest.middle + side * chest.half_width * 0.55, chest.top + chest.height * 0.52)
        film.ellipse(centre, (chest.half_width * 0.46, chest.height * 0.54), chest.lung_grey, blur=0.006)
        _draw_vessels(film, chest, side, rng, 0.55 if free and side == chest.side else 0.9)
    film.ellipse((chest.middle - chest.half_width * 0.55, chest.base + 0.17), (chest.half_width * 0.55, 0.19), 150)
    film.ellipse((chest.middle + chest.half_width * 0.55, chest.base + 0.19), (chest.half_width * 0.55, 0.19), 150)
    film.polygon([(chest.middle + dx, y) for dx, y in ((-0.05, 0), (0.05, 0), (0.07, 1), (-0.07, 1))], 165, 0.9, 0.01)
    heart_y = chest.base - 0.13
    film.ellipse((chest.middle + 0.3 * chest.heart, heart_y), (chest.heart, 0.14), 170, 0.95, 0.008)
    _draw_bones(film, chest, broken, rng)
    return film


def _draw_bones(film: Film, chest: Chest, broken: int | None, rng: np.random.Generator) -> None:
    ribs = {
        (side, number): _rib_path(chest, side, 0.02 + 0.13 * number + rng.uniform(-0.008, 0.008))
        for side in (-1, 1)
        for number in range(6)
    }
    if broken is not None:
        _draw_broken_rib(film, ribs.pop((chest.side, broken)), chest, rng)
    film.draw_lines(ribs.values(), 0.018, chest.rib_grey, 0.55)
    inner, outer = (0.05, chest.top + 0.06), (0.36, chest.top - 0.02)
    clavicles = [[(chest.middle + side * x, y) for x, y in (inner, outer)] for side in (-1, 1)]
    film.draw_lines(clavicles, 0.026, 165, 0.7)


def _draw_broken_rib(film: Film, path: list[Point], chest: Chest, rng: np.random.Generator) -> None:
    """A rib in two pieces with a gap between them; the outer piece is shifted down."""
    cut = int(rng.integers(3, 5))
    step = rng.uniform(0.045, 0.07)
    inner, outer = path[: cut + 1], [(x, y + step) for x, y in path[cut + 1 :]]
    film.ellipse(((inner[-1][0] + outer[0][0]) / 2, inner[-1][1] + step / 2), (0.035, 0.045), 15, 0.8)
    film.draw_lines((inner, outer), 0.026, chest.rib_grey + 70, 0.85)


def _mark_pneumothorax(film: Film, chest: Chest, rng: np.random.Generator) -> None:
    edge = rng.uniform(0.62, 0.78)
    depths = np.linspace(0.05, 0.85, 9)
    pleura = [chest.place_at(edge - 0.5 * (depth - 0.42) ** 2, depth) for depth in depths]
    wall = [chest.place_at(0.97 - 0.9 * (depth - 0.5) ** 2, depth) for depth in depths]
    film.polygon([*pleura, *reversed(wall)], 10, rng.uniform(0.6, 0.85))
    film.draw_lines([pleura], 0.018, 235, rng.uniform(0.7, 0.95))


def _mark_effusion(film: Film, chest: Chest, rng: np.random.Generator) -> None:
    level = rng.uniform(0.62, 0.78)
    surface = [
        chest.place_at(across, level + 0.08 - 0.22 * max(across - 0.45, 0.0)) for across in np.linspace(0.1, 1.0, 9)
    ]
    film.polygon([*surface, chest.place_at(1.0, 1.1), chest.place_at(0.1, 1.1)], 195, rng.uniform(0.75, 0.95), 0.008)


def _mark_pneumonia(film: Film, chest: Chest, rng: np.random.Generator) -> None:
    centre = chest.place_at(rng.uniform(0.5, 0.62), rng.choice((0.3, 0.62)) + rng.uniform(-0.05, 0.05))
    film.ellipse(centre, (rng.uniform(0.09, 0.12), rng.uniform(0.09, 0.13)), 190, rng.uniform(0.6, 0.85), 0.022)
    root = (centre[0] - chest.side * 0.06, centre[1])
    tips = [(centre[0] + chest.side * 0.09 * cos(a), centre[1] + 0.09 * sin(a)) for a in rng.uniform(-1.2, 1.2, 3)]
    film.draw_lines([(root, tip) for tip in tips], 0.013, 50, 0.7)


def _mark_nodule(film: Film, chest: Chest, rng: np.random.Generator) -> None:
    radius = rng.uniform(0.032, 0.052)
    film.ellipse(
        chest.place_at(rng.uniform(0.42, 0.72), rng.uniform(0.2, 0.7)), (radius, radius), 215, rng.uniform(0.75, 1.0)
    )


def _mark_hernia(film: Film, chest: Chest, rng: np.random.Generator) -> None:
    x, y = chest.middle + rng.uniform(-0.03, 0.08), chest.base - rng.uniform(0.10, 0.15)
    radius = rng.uniform(0.075, 0.105)
    film.ellipse((x, y), (radius * 1.15, radius * 1.1), 220, 0.9)
    film.ellipse((x, y), (radius * 0.95, radius * 0.9), 40, 0.85)
    below = [(x + radius * 0.95 * cos(angle), y + radius * 0.9 * sin(angle)) for angle in np.linspace(0.1, pi - 0.1, 9)]
    film.polygon(below, 215, 0.95)


def _mark_pacemaker(film: Film, chest: Chest, rng: np.random.Generator) -> None:
    (x, y), half = chest.place_at(rng.uniform(0.66, 0.82), rng.uniform(0.1, 0.2)), rng.uniform(0.045, 0.06)
    film.polygon([(x + dx * half, y + dy * half) for dx, dy in ((-1, -1), (1, -1), (1, 0.8), (-1, 0.8))], 250)
    vein, tip = chest.place_at(0.12, 0.16), (chest.middle + 0.04, chest.base - rng.uniform(0.06, 0.12))
    film.draw_lines([((x, y), vein, (chest.middle - 0.02, chest.base - 0.25), tip)], 0.014, 245, 0.9)


def _mark_nothing(film: Film, chest: Chest, rng: np.random.Generator) -> None:
    """The finding is in the anatomy itself."""


# In the order of FINDINGS.
_MARKS: Sequence[Callable[[Film, Chest, np.random.Generator], None]] = (
    _mark_pneumothorax,
    _mark_effusion,
    _mark_pneumonia,
    _mark_nodule,
    _mark_nothing,
    _mark_hernia,
    _mark_nothing,
    _mark_pacemaker,
)
_PNEUMOTHORAX, _CARDIOMEGALY, _RIB_FRACTURE = 0, 4, 6


def _expose_film(picture: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Scale down, then vary blur, contrast, brightness, a slope of grey over the film, and noise."""
    soft = picture.filter(ImageFilter.BoxBlur(rng.uniform(0.5, 2.5)))
    grey = np.asarray(soft.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    slope = rng.normal(0, 12) * rows + rng.normal(0, 12) * columns
    grey = (grey - 100) * rng.uniform(0.75, 1.1) + 100 + rng.normal(0, 10) + slope
    noisy: NDArray[np.float64] = grey + rng.normal(0, rng.uniform(4, 13), grey.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def _draw_film(finding_index: int | None, seed: int) -> Image.Image:
    """The film before exposure; with None that of the same chest without a finding."""
    rng = np.random.default_rng(seed)
    # Drawn even where no rib breaks: the draws that follow then give the same chest with and without a finding.
    rib = int(rng.integers(1, 4))
    chest = _draw_proportions(rng, enlarged=finding_index == _CARDIOMEGALY)
    broken = rib if finding_index == _RIB_FRACTURE else None
    film = _draw_anatomy(rng, chest, broken, free=finding_index == _PNEUMOTHORAX)
    if finding_index is not None:
        _MARKS[finding_index](film, chest, rng)
    return film.picture


def draw_phantom(finding_index: int, rng: np.random.Generator, faint_share: float = FAINT_SHARE) -> Image.Image:
    """Draw ``FINDINGS[finding_index]``: 56 x 56 pixels, mode L. The same generator state gives the same picture.

    On ``faint_share`` of the films the finding is a shadow of itself, so that they are hard to read.
    """
    seed, strength = int(rng.integers(1 << 32)), rng.uniform(*FAINT) if rng.random() < faint_share else 1.0
    picture = _draw_film(finding_index, seed)
    if strength < 1:
        # The same chest without the finding, so that only the finding fades.
        picture = Image.blend(_draw_film(None, seed), picture, strength)
    return Image.fromarray(_expose_film(picture, rng))
