"""Tasks of Label Studio, one a chain: its basic JSON with annotations, and the labeling configuration that fits."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mics_ray.review.exchange.items import WHOLE, FilledMark, SentChain, read_step, refuse_file
from mics_ray.review.marks.mark import CHAIN_VERDICTS, STEP_VERDICTS, Target

FILE, CONFIG = "tasks.json", "label_config.xml"
PICTURES = "/data/local-files/?d="
"""What Label Studio serves from the folder that it is told of."""
_NAME = re.compile(rf"(verdict|comment)_(\d+|{WHOLE})")


def make_task(chain: SentChain) -> dict[str, Any]:
    """A chain as a task; the reviewer's marks so far are its annotation."""
    row = chain.row
    steps = {f"step_{at}": text for at, text in enumerate(row["steps"], 1)}
    told = {name: row[name] for name in ("case_id", "question", "answer", "context", "final_answer")}
    data = told | steps | {"chain": chain.targets[-1].chain, "images": [PICTURES + one for one in chain.pictures]}
    result = [part for target in chain.targets for part in _make_result(chain, target)]
    return {"data": data, **({"annotations": [{"result": result}]} if result else {})}


def _make_result(chain: SentChain, target: Target) -> list[dict[str, Any]]:
    verdict, comment = chain.tell_mark(target)
    key, shown = _name_target(target.step)
    parts: list[dict[str, Any]] = []
    if verdict:
        parts.append({"from_name": f"verdict_{key}", "type": "choices", "value": {"choices": [verdict]}})
    if comment:
        parts.append({"from_name": f"comment_{key}", "type": "textarea", "value": {"text": [comment]}})
    return [{"id": part["from_name"], "to_name": shown, **part} for part in parts]


def _name_target(step: int | None) -> tuple[str, str]:
    return (WHOLE, "final_answer") if step is None else (str(step), f"step_{step}")


def fill_steps(tasks: Sequence[Mapping[str, Any]], most: int) -> list[dict[str, Any]]:
    """Tasks with a text for each of ``most`` steps: a configuration names them all."""
    empty = {f"step_{at}": "" for at in range(1, most + 1)}
    return [{**task, "data": empty | task["data"]} for task in tasks]


def make_label_config(most: int) -> str:
    """The labeling configuration for chains of at most ``most`` steps."""
    lines = ["<View>"]
    for name, title in (("question", "Question"), ("context", "Notes"), ("answer", "Gold answer")):
        lines += [f'  <Header value="{title}"/>', f'  <Text name="{name}" value="${name}"/>']
    lines.append('  <Image name="images" valueList="$images"/>')
    for at in range(1, most + 1):
        lines += [f'  <Header value="Step {at}"/>', *_make_controls(at, STEP_VERDICTS)]
    lines += ['  <Header value="The chain as a whole: its final answer"/>', *_make_controls(None, CHAIN_VERDICTS)]
    return "\n".join([*lines, "</View>", ""])


def _make_controls(step: int | None, verdicts: Iterable[str]) -> list[str]:
    key, shown = _name_target(step)
    choices = "".join(f'<Choice value="{verdict}"/>' for verdict in verdicts)
    return [
        f'  <Text name="{shown}" value="${shown}"/>',
        f'  <Choices name="verdict_{key}" toName="{shown}" choice="single" showInline="true">{choices}</Choices>',
        f'  <TextArea name="comment_{key}" toName="{shown}" rows="2" maxSubmissions="1" editable="true"/>',
    ]


def read_tasks(path: Path, completed_by: str | None) -> list[FilledMark]:
    """What annotated tasks say, as Label Studio exports them (JSON). Of tasks that several people have annotated, those
    of the one whose number or e-mail is ``completed_by``.

    Raises :class:`~mics_ray.errors.RefusedRun`, ``OSError``.
    """
    try:
        tasks = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise refuse_file(path, ["it is not JSON: export it from Label Studio as JSON"]) from None
    if not isinstance(tasks, list):
        raise refuse_file(path, ["it is no list of tasks: export it from Label Studio as JSON"])
    found: list[FilledMark] = []
    problems = []
    for number, task in enumerate(tasks, 1):
        try:
            found += _read_task(f"task {number}", task, completed_by)
        except ValueError as error:
            problems.append(f"task {number}: {error}")
        except (KeyError, TypeError, AttributeError):
            problems.append(f"task {number} is no task of mics review export")
    if problems:
        raise refuse_file(path, problems)
    return found


def _read_task(place: str, task: Mapping[str, Any], completed_by: str | None) -> list[FilledMark]:
    case_id, chain = task["data"]["case_id"], task["data"]["chain"]
    if not isinstance(case_id, str) or not isinstance(chain, str):
        raise TypeError
    given = [one for one in task.get("annotations") or () if not one.get("was_cancelled")]
    if completed_by is not None:
        given = [one for one in given if completed_by in _name_annotator(one)]
    if len(given) > 1:
        raise ValueError(f"{len(given)} annotations: give completed_by=, the number or e-mail of the person")
    said: dict[int | None, dict[str, str]] = {}
    for part in given[0]["result"] if given else ():
        if name := _NAME.fullmatch(str(part["from_name"])):
            said.setdefault(read_step(name[2]), {})[name[1]] = _read_value(part["value"])
    return [
        FilledMark(place, Target(case_id, chain, step), one.get("verdict"), one.get("comment", ""))
        for step, one in said.items()
    ]


def _name_annotator(annotation: Mapping[str, Any]) -> set[str]:
    person = annotation.get("completed_by")
    if isinstance(person, dict):
        return {str(person.get("id")), str(person.get("email"))}
    return {str(person)}


def _read_value(value: Mapping[str, Any]) -> str:
    found = value["choices"] if "choices" in value else value["text"]
    parts = [found] if isinstance(found, str) else found
    if "choices" in value and len(parts) != 1:
        raise ValueError("a step has several verdicts")
    return "\n".join(str(part) for part in parts)
