"""Samples of small hand-made searches, for the tests of what an export makes of them."""

from dataclasses import replace
from functools import cache
from typing import Any

from mics_ray.config.compose import compose_config
from mics_ray.config.schema import PromptsConfig
from mics_ray.core.reading.text import format_chain
from mics_ray.core.types import Case, Continuation
from mics_ray.models.prompts import fill_intern_prompt
from train.export.samples import Sample
from train.export.tokens import make_trainer_safe

VERDICTS = {"r": "right", "w": "wrong", "u": "unknown"}


@cache
def prompts() -> PromptsConfig:
    """The default templates."""
    return compose_config(["experiment=demo"]).prompts


def node(
    number: int,
    parent: int | None,
    place: tuple[int, int],
    mentor: str,
    steps: list[str],
    votes: str,
    rest: str = "",
    chosen: bool = False,
) -> dict[str, Any]:
    """A candidate as rows hold it; ``place`` is attempt and round, ``votes`` a letter each, such as ``rrwwuu``."""
    known = votes.count("r") + votes.count("w")
    return {
        "id": number,
        "parent": parent,
        "attempt": place[0],
        "round": place[1],
        "mentor": mentor,
        "step": "\n\n".join(steps),
        "steps": steps,
        "rest": rest,
        "score": votes.count("r") / known if known else None,
        "unasked": 0,
        "chosen": chosen,
        "leaks": [],
        "leak_checks": [],
        "failure": None if votes else "timeout: no reply",
        "votes": [{"intern": f"i{n}", "verdict": VERDICTS[letter]} for n, letter in enumerate(votes)],
    }


def sample(**changes: Any) -> Sample:
    """A case searched twice: a dead end, then two rounds with a tie, a failed mentor and a lost vote."""
    steps, answer = ("The left apex is dark.", "No lung markings there.", "So the lung has collapsed."), "Pneumothorax"
    question = make_trainer_safe("What does the <image> show?")
    end = "### Step 4: It is air.\n\n### The final answer is: Pneumothorax"
    nodes = (
        node(0, None, (1, 1), "ann", ["The heart is wide."], "wwwwww", "### The final answer is: Cardiomegaly"),
        node(1, None, (1, 1), "bob", ["The bones are fine."], "wwwuuu", "### The final answer is: Pneumothorax"),
        node(2, None, (1, 1), "cat", [], ""),
        node(3, None, (2, 1), "ann", ["There is a line."], "rrrwww", "### The final answer is: Pneumothorax"),
        node(4, None, (2, 1), "bob", [steps[0]], "rrrwww", "", True),
        node(5, None, (2, 1), "cat", ["See the <image>."], "rrwwww", "### The final answer is: Pneumothorax"),
        node(6, 4, (2, 2), "ann", ["The line is the pleura."], "rrrwwu", end),
        node(7, 4, (2, 2), "bob", [steps[1]], "rrrrrr", f"### Step 3: {steps[2]}\n\n{end[-35:]}", True),
        node(8, 4, (2, 2), "cat", [], ""),
    )
    whole = Sample(
        id="run/case-1",
        case_id="case-1",
        run="run",
        prompt=fill_intern_prompt(prompts(), Case("case-1", question, "", ("a.png",)), ()),
        question=question,
        answer=answer,
        steps=steps,
        final_answer=answer,
        completion=format_chain(Continuation(steps, answer)),
        images=("images/aa/aa1.png", "images/bb/bb2.png"),
        outcome="solved",
        quality="keep",
        score=1.0,
        rounds=2,
        mentors=("bob", "bob"),
        nodes=nodes,
        config_digest="digest",
        tokens=100,
    )
    return replace(whole, **changes)


def samples() -> list[Sample]:
    """The searched case; one without pictures and with nothing to prefer; one whose worst candidate is the kept one."""
    even = (
        node(0, None, (1, 1), "ann", ["One."], "rw", "### The final answer is: Yes", True),
        node(1, None, (1, 1), "bob", ["Two."], "rw", "### The final answer is: No"),
    )
    kept = {"steps": ("One.",), "final_answer": "Yes", "answer": "Yes", "score": 0.5, "rounds": 1, "mentors": ("ann",)}
    text = {**kept, "completion": format_chain(Continuation(("One.",), "Yes")), "question": "Is it so?", "nodes": even}
    text["prompt"] = fill_intern_prompt(prompts(), Case("", "Is it so?", ""), ())
    one = {**text, "images": ("images/cc/cc3.jpg",)}
    one["prompt"] = fill_intern_prompt(prompts(), Case("", "Is it so?", "", one["images"]), ())
    one["nodes"] = (even[0], even[1] | {"score": 1.0})
    return [
        sample(),
        sample(id="run/case-2", case_id="case-2", images=(), **text),
        sample(id="run/case-3", case_id="case-3", outcome="depth", **one),
    ]
