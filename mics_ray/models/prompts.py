"""The wording of every call, filled in. Templates come from ``conf/prompts/`` or the user's own file."""

from collections.abc import Mapping
from dataclasses import fields
from string import Formatter

from mics_ray.config.schema import PromptsConfig
from mics_ray.core.context import ask_question, list_shown
from mics_ray.core.frames import list_frame_labels
from mics_ray.core.reading.text import format_prefix, neutralise_placeholders
from mics_ray.core.types import Case

FIELDS: Mapping[str, frozenset[str]] = {
    "mentor_system": frozenset(),
    "mentor": frozenset({"question", "answer", "notes", "shown", "prefix", "next_step"}),
    "intern": frozenset({"question", "prefix", "next_step"}),
    "judge": frozenset({"question", "answer", "candidate"}),
    "intern_without_pictures": frozenset({"question", "prefix", "next_step"}),
    "judge_leak": frozenset({"question", "answer", "step"}),
}
"""What each template may name. An intern never sees the gold answer; of the case notes it sees the context, which
stands below its {question}. ``shown`` tells a mentor which notes these are."""


def check_templates(prompts: PromptsConfig) -> list[str]:
    """What is wrong with the templates, one line each; empty when all can be filled."""
    problems = []
    for template in fields(prompts):
        allowed = FIELDS[template.name]
        try:
            parts = list(Formatter().parse(getattr(prompts, template.name)))
        except ValueError as error:
            problems.append(f"prompts.{template.name}: {error}; write {{{{ and }}}} for literal braces")
            continue
        if unknown := sorted({name for _, name, _, _ in parts if name is not None} - allowed):
            known = ", ".join(sorted(allowed)) or "none"
            problems.append(f"prompts.{template.name}: unknown field {unknown[0]!r}; there is: {known}")
        # A format or conversion could fail or cut text when a case is filled in, in the middle of a run.
        elif dressed := [name for _, name, spec, conversion in parts if spec or conversion]:
            problems.append(f"prompts.{template.name}: write {{{dressed[0]}}} alone, without : or !")
    return problems


def list_template_warnings(prompts: PromptsConfig) -> list[str]:
    """What the user should know of templates that can be filled, one line each."""
    if "{shown}" in prompts.mentor:
        return []
    return ["prompts.mentor: without {shown} mentors are not told which history interns see (data.context)"]


def fill_mentor_system(prompts: PromptsConfig) -> str:
    """A mentor's system message; it has no fields, only doubled braces like the other templates."""
    return prompts.mentor_system.format()


def fill_mentor_prompt(prompts: PromptsConfig, case: Case, prefix: tuple[str, ...]) -> str:
    """What a mentor reads: the case with notes and gold answers, and the chain so far."""
    notes = "\n".join(f"{note.label}: {note.text}" for note in case.notes) or "(none)"
    frames = list_frame_labels(case.images)
    return neutralise_placeholders(
        prompts.mentor.format(
            question="\n\n".join([case.question, *(["\n".join(frames)] if frames else [])]),
            answer=case.gold,
            notes=notes,
            shown=list_shown(case),
            prefix=format_prefix(prefix),
            next_step=len(prefix) + 1,
        )
    )


def fill_intern_prompt(prompts: PromptsConfig, case: Case, prefix: tuple[str, ...]) -> str:
    """What an intern reads beside the pictures: question with context, and chain so far."""
    template = prompts.intern if case.images else prompts.intern_without_pictures or prompts.intern
    return neutralise_placeholders(
        template.format(question=ask_question(case), prefix=format_prefix(prefix), next_step=len(prefix) + 1)
    )


def fill_judge_prompt(prompts: PromptsConfig, case: Case, candidate: str) -> str:
    """What the judge reads: question, every gold answer and the answer to check."""
    return neutralise_placeholders(prompts.judge.format(question=case.question, answer=case.gold, candidate=candidate))


def fill_leak_prompt(prompts: PromptsConfig, case: Case, step: str) -> str:
    """What the judge reads about a step: question and context, which are no secret, gold answer and the step."""
    return neutralise_placeholders(prompts.judge_leak.format(question=ask_question(case), answer=case.gold, step=step))
