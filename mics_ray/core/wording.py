"""Words of a text, told apart by what they say: whether a text mentions a given wording, nearly or word for word."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mics_ray.core.leaks.spelling import normalise_word

SHARE = 0.8
"""Of a wording's words that must be there; of up to four words all: "left lung" is not mentioned by "left kidney"."""
SLIP_LETTERS = 6
"""Words of at least so many letters may differ in one letter behind their first ("typical" is not "atypical")."""
TELLING_LETTERS = 4

_FUNCTION = """
a an and are as at be been by due for from has have in is it its most of on or probable probably likely suspected that
the their there these this those to was were which with
"""
_COMMON = """
yes no not none without absent present positive negative normal abnormal unremarkable true false
left right both bilateral unilateral upper lower middle mid superior inferior anterior posterior medial lateral central
peripheral proximal distal side base apex apical basal center centre above below single multiple many
small large larger smaller mild moderate severe acute chronic increased decreased high low dense bright dark white black
grey gray round area region part structure view film picture image scan finding change sign evidence
patient male female man woman child adult year day week month
head neck chest thorax abdomen pelvis spine limb back brain skull heart cardiac lung pulmonary pleural pleura lobe rib
bone liver hepatic spleen kidney renal stomach bowel colon bladder breast skin muscle joint knee hip shoulder elbow
wrist ankle hand foot arm leg artery arterial vein venous vessel aorta nerve tissue soft chamber wall
xray radiograph radiography radiology tomography ultrasound sonography magnetic resonance imaging computed angiography
plain frontal axial coronal sagittal contrast weighted tube line
associated secondary related potential possible consistent typical disease syndrome diagnosis condition
"""
_FUNCTION_WORDS = frozenset(_FUNCTION.split())
_COMMON_WORDS = frozenset(map(normalise_word, _COMMON.split()))
_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "’": "'"})
_WORD = re.compile(r"([^\W_]+)(?:'s\b)?")


def fold_text(text: str) -> str:
    """Lower case without accents, ligatures and signs that are not seen (soft hyphens, zero-width spaces)."""
    # By far the most common text; normalising costs many times as much as lower().
    if text.isascii():
        return text.lower()
    spelled = unicodedata.normalize("NFKD", text.casefold()).translate(_LETTERS)
    return "".join(mark for mark in spelled if not unicodedata.combining(mark) and unicodedata.category(mark) != "Cf")


@dataclass(frozen=True, slots=True)
class Word:
    """A word in its one form, and where it stands in the folded text."""

    text: str
    start: int
    end: int


def locate_words(folded: str) -> list[Word]:
    """The words of a text of :func:`fold_text` that carry meaning: no articles, prepositions, forms of "be"."""
    found = ((normalise_word(word[1]), word) for word in _WORD.finditer(folded))
    return [Word(text, word.start(), word.end(1)) for text, word in found if text not in _FUNCTION_WORDS]


def split_words(text: str) -> list[str]:
    """Every word, plain, in the singular, in American spelling."""
    return [normalise_word(word) for word in _WORD.findall(fold_text(text))]


def extract_words(text: str) -> list[str]:
    """The words of :func:`locate_words`."""
    return [word for word in split_words(text) if word not in _FUNCTION_WORDS]


def is_telling(word: str) -> bool:
    """Whether a word says more than descriptions of pictures say anyway (yes, left, chest, radiograph, a number)."""
    return len(word) >= TELLING_LETTERS and word not in _COMMON_WORDS and not word.isdigit()


def mentions_wording(said: Sequence[str], wording: tuple[str, ...]) -> bool:
    """Whether :func:`find_mentions` finds one."""
    return next(find_mentions(said, wording), None) is not None


def find_mentions(said: Sequence[str], wording: tuple[str, ...]) -> Iterator[tuple[int, ...]]:
    """The places of the words of each stretch of ``said``, little longer than ``wording``, that holds its words: in any
    order, :data:`SHARE` of them, and of the telling ones too. Both as :func:`extract_words` gives them."""
    if not wording:
        return
    size = len(wording)
    yield from _find_joined(said, "".join(wording), size)
    wanted, telling = Counter(wording), Counter(filter(is_telling, wording))
    # Room for words put in between, but a single word has none: its stretch is itself.
    stretch = size + max(1, size // 3) if size > 1 else 1
    heard = [_match_word(word, wording) for word in said]
    for at, first in enumerate(heard):
        if first:
            places = tuple(place for place in range(at, min(at + stretch, len(heard))) if heard[place])
            held = Counter(word for place in places if (word := heard[place])) & wanted
            if held.total() >= SHARE * size and (held & telling).total() >= SHARE * telling.total():
                yield places


def _find_joined(said: Sequence[str], wording: str, size: int) -> Iterator[tuple[int, ...]]:
    """Stretches about as long as the wording that are the same as one word: "post-traumatic" is "posttraumatic"."""
    if wording not in "".join(said):
        return
    for span in range(max(1, size - 1), size + 2):
        for at in range(len(said) - span + 1):
            if "".join(said[at : at + span]) == wording:
                yield tuple(range(at, at + span))


@lru_cache(maxsize=65_536)
def _match_word(word: str, wording: tuple[str, ...]) -> str | None:
    """The word of the wording that ``word`` is, perhaps with a slip."""
    return word if word in wording else next((wanted for wanted in wording if _differs_by_slip(word, wanted)), None)


def _differs_by_slip(one: str, other: str) -> bool:
    """Whether two long words differ in one letter: another, missing, added, or swapped with its neighbour."""
    if one[0] != other[0] or min(len(one), len(other)) < SLIP_LETTERS or abs(len(one) - len(other)) > 1:
        return False
    at = next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )
    a, b = one[at:], other[at:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
