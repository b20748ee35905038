"""Labelled steps of our own: templates filled with diagnoses, one part of both kept back from the making of the rules.

The steps are the same every time: each template takes the next diagnoses that have what it names.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from mics_ray.core.types import Case, Note

FOLDER = Path(__file__).parent
PARTS = ("development", "held_out")
FILLINGS = {"development": 3, "held_out": 5}
"""Diagnoses that each template of a part is filled with."""
NEEDS_JUDGE = "needs_judge"
"""The group of what words cannot show: paraphrases, translations, hints."""
_MARKS = {
    "letters": ("A", "B", "C", "D"), "text": ("A", "B", "C", "D"), "letter": ("A", "B", "C", "D"),
    "numbers": ("1", "2", "3", "4"), "romans": ("i", "ii", "iii", "iv"),
}  # fmt: skip
_LAYOUTS = {"letters": "{}. {}", "text": "{}) {}", "letter": "({}) {}", "numbers": "{}. {}", "romans": "({}) {}"}
_PLACES = ("first", "second", "third", "fourth")
Diagnosis = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LabelledStep:
    """A step of a case; ``leaks``: whether it gives away what interns are not to see. ``group`` is the template's."""

    case: Case
    step: str
    leaks: bool
    part: str
    group: str
    template: str


def read_labelled_steps() -> list[LabelledStep]:
    """All steps of both parts, no two of them the same."""
    groups, diagnoses = _read_file("templates"), _read_file("diagnoses")
    found = [step for part in PARTS for step in _fill_part(part, groups[part], diagnoses[part])]
    return list({(step.case.question, step.case.answer, step.step): step for step in found}.values())


def _read_file(name: str) -> Mapping[str, Any]:
    read: Mapping[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return read


def _fill_part(part: str, groups: Mapping[str, Any], diagnoses: Sequence[Diagnosis]) -> Iterator[LabelledStep]:
    turn = 0
    for group, labels in groups.items():
        for label, forms in labels.items():
            for form, texts in forms.items():
                for text in texts:
                    able = [one for one in diagnoses if _name_needed(form, text) <= one.keys()]
                    for number in range(min(FILLINGS[part], len(able))):
                        one = able[(turn + number) % len(able)]
                        place = (turn + number) % len(_PLACES)
                        yield _fill_template(part, group, label == "leak", form, text, one, place)
                    turn += FILLINGS[part]


def _name_needed(form: str, text: str) -> set[str]:
    """The fields of a diagnosis without which a template cannot be filled."""
    named = {name for _, name, _, _ in Formatter().parse(text) if name}
    needed = {"full": {"abbr"}, "abbr_first": {"abbr"}, "abbr": {"abbr"}, "alt": {"alt"}}.get(form, set[str]())
    return needed | (named & {"abbr", "alt", "several", "plain", "foreign"})


def _fill_template(
    part: str, group: str, leaks: bool, form: str, text: str, one: Diagnosis, place: int
) -> LabelledStep:
    marks = _MARKS.get(form, ("", "", "", ""))
    listed = [*one["others"][:place], one["dx"], *one["others"][place:]]
    names: dict[str, str] = {name: value for name, value in one.items() if isinstance(value, str)}
    for number, other in enumerate(one["others"], 1):
        names["other" if number == 1 else f"other{number}"] = other
    names |= {"mark": marks[place], "wrong": marks[place - 1], "place": _PLACES[place]}
    names |= {name.title(): names[name][0].upper() + names[name][1:] for name in ("dx", "other")}
    names |= {"DX": names["dx"].upper(), "MARK": names["mark"], "WRONG": names["wrong"]}
    names["mark"] = names["mark"].lower()
    step = text.format(**names)
    case = Case(f"{part}-{one['dx']}", _ask(form, marks, listed), _answer(form, names), (), (_note(one),))
    return LabelledStep(case, step[0].upper() + step[1:], leaks, part, group, text)


def _ask(form: str, marks: Sequence[str], listed: Sequence[str]) -> str:
    if form not in _LAYOUTS:
        return "What is the most likely diagnosis?"
    options = (
        _LAYOUTS[form].format(mark, name[0].upper() + name[1:]) for mark, name in zip(marks, listed, strict=True)
    )
    return "Which diagnosis fits best?\n" + "\n".join(options)


def _answer(form: str, names: Mapping[str, str]) -> str:
    forms = {
        "letters": "{MARK}. {Dx}", "numbers": "{MARK}. {Dx}", "letter": "{MARK}", "full": "{Dx} ({abbr})",
        "abbr_first": "{abbr} ({dx})", "abbr": "{abbr}", "alt": "{Alt}",
    }  # fmt: skip
    alt = names.get("alt", " ")
    return forms.get(form, "{Dx}").format(**names, Alt=alt[0].upper() + alt[1:])


def _note(one: Diagnosis) -> Note:
    return Note("Findings", f"On this examination {one['finding']}; the reader describes it as shown by the arrow.")
