"""One form for each word: singular, American spelling. Rough, but applied to both sides: equal words stay equal."""

import re
from functools import lru_cache

SHORTEST = 5
"""Words of fewer letters keep their vowels: "toe" is not "te"."""

# What the rules below do not reach, or reach wrongly.
_TABLE = {
    "grey": "gray", "mould": "mold", "neurone": "neuron", "aluminium": "aluminum", "practise": "practice",
    "aneurism": "aneurysm", "diverticula": "diverticulum", "septa": "septum", "bacteria": "bacterium",
    "foramina": "foramen", "viscera": "viscus", "emboli": "embolism", "embolus": "embolism",
    "metastases": "metastasis", "axes": "axis", "apices": "apex", "appendices": "appendix", "calyces": "calyx",
}  # fmt: skip
_BRITISH = (
    (re.compile(r"[ao]e(?=[a-z])"), "e"),
    (re.compile(r"our(?=$|al$|ed$|ing$|able$|less$|ous$)"), "or"),
    (re.compile(r"is(?=e$|ed$|er$|ing$|ation$)"), "iz"),
    (re.compile(r"ys(?=e$|ed$|er$|ing$)"), "yz"),
    (re.compile(r"(?<=[tbv])re(?=$|d$)"), "er"),
    (re.compile(r"ll(?=ed$|er$|ing$)"), "l"),
    (re.compile(r"sulph"), "sulf"),
    (re.compile(r"leuc(?=o)"), "leuk"),
    (re.compile(r"(?<=[a-z]{3})ogue$"), "og"),
)


@lru_cache(maxsize=65_536)
def normalise_word(word: str) -> str:
    """A lower-case word without accents in its one form: "oedemas" and "edema" are ``edema``."""
    if len(word) < 4 or not word.isalpha():
        return word
    found = _TABLE.get(word) or _to_singular(word)
    found = _TABLE.get(found, found)
    if len(found) >= SHORTEST:
        for pattern, letters in _BRITISH:
            found = pattern.sub(letters, found)
    return found


def _to_singular(word: str) -> str:
    if len(word) >= SHORTEST and (latin := _from_latin(word)):
        return latin
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _from_latin(word: str) -> str:
    """The singular of a Latin or Greek plural; "" for other words."""
    for ending, singular in (("omata", "oma"), ("thoraces", "thorax"), ("ectases", "ectasis")):
        if word.endswith(ending):
            return word[: -len(ending)] + singular
    if re.search(r"..[lrnt]ae$", word):
        return word[:-1]
    if re.search(r"....[oye]ses$", word):
        return word[:-2] + "is"
    return word[:-1] + "us" if re.search(r"....[bchlmnv]i$", word) else ""
