"""The README beside the tiny interns: how they were trained and what was measured, from ``metrics.json``."""

from typing import Any

_INTRODUCTION = """\
# The two tiny interns

Two vision-language models of about a million and a half parameters each, trained from random weights by
`python -m mics_ray.local.training.train_interns` on drawn phantom radiographs and made-up reasoning. They exist so that
the demo and the tests run real vLLM on real models without a GPU. They know no medicine: they are for phantoms only.

"""
_EXPLANATION = """
Share of answers that name the finding drawn, at temperature 0 / 0.3 / 1.2, on phantoms of other seeds than the
training's ({count} for each figure; chance is 0.125). Of these films, as of the embedded cases, 45 % are drawn faint;
answers were learnt from clear ones alone. The rows are the kinds of reasoning in the prompt, as `intern_texts.py` makes
them. With `misleading` and `misplaced` reasoning a right answer goes against the text, and
`other_picture` shows another finding than the one asked for. The last row is the share of all answers in the form
`### The final answer is: ...`.

They were trained and measured on the default prompt without the example of its last line, and on questions without
context. With both, right answers at temperature 0 on 96 phantoms: `none` 0.75 (0.79 without) and `naming` 1.00 (1.00)
for internvl, 0.53 (0.54) and 0.93 (0.93) for qwen25vl; the form was kept by all.

Prompts of 1,000 tokens and more are beyond them: the form of the answer is lost, and such votes count as unknown.

"""


def render_interns(metrics: dict[str, Any]) -> str:
    """The README as Markdown."""
    interns: dict[str, Any] = metrics["interns"]
    count = next(iter(interns.values()))["settings"]["measured"]
    return _INTRODUCTION + _render_settings(interns) + _EXPLANATION.format(count=count) + _render_scores(interns)


def _render_table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _render_settings(interns: dict[str, Any]) -> str:
    rows = [
        ["parameters", *(f"{intern['parameters']:,}" for intern in interns.values())],
        ["weights, bytes (float32)", *(f"{intern['weight_bytes']:,}" for intern in interns.values())],
    ]
    lessons = dict.fromkeys(lesson["name"] for intern in interns.values() for lesson in intern["lessons"])
    rows += [
        [f"{name}: CPU-minutes, peak rate, steps", *(_describe_lesson(intern, name) for intern in interns.values())]
        for name in lessons
    ]
    names = ("seed", "threads", "picture_share", "pool", "batch", "warm_up")
    rows += [[name, *(str(intern["settings"][name]) for intern in interns.values())] for name in names]
    return _render_table(["", *interns], rows)


def _describe_lesson(intern: dict[str, Any], name: str) -> str:
    found = [lesson for lesson in intern["lessons"] if lesson["name"] == name]
    return ", ".join(f"{one['minutes']:g}, {one['peak_rate']:g}, {intern['steps'][name]}" for one in found) or "-"


def _render_scores(interns: dict[str, Any]) -> str:
    kinds = list(next(iter(interns.values()))["scores"])
    rows = [[kind, *(_format_scores(intern["scores"][kind], "right") for intern in interns.values())] for kind in kinds]
    return _render_table(
        ["", *interns], [*rows, ["format kept", *(_mean_format_kept(intern["scores"]) for intern in interns.values())]]
    )


def _format_scores(by_temperature: dict[str, dict[str, float]], score: str) -> str:
    return " / ".join(f"{scores[score]:.2f}" for scores in by_temperature.values())


def _mean_format_kept(scores: dict[str, Any]) -> str:
    """The mean over the kinds, by temperature."""
    temperatures = next(iter(scores.values()))
    means = (sum(kind[t]["format"] for kind in scores.values()) / len(scores) for t in temperatures)
    return " / ".join(f"{mean:.2f}" for mean in means)
