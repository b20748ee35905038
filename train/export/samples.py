"""The training sample that every form of an export is made from: its texts, and the search tree that it carries as
evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mics_ray.config.schema import PromptsConfig
from mics_ray.core.reading.text import format_chain
from mics_ray.core.types import Case, Continuation
from mics_ray.models.prompts import fill_intern_prompt
from mics_ray.review.marks.verdicts import ChainVerdicts
from train.export.config import LeakFilter
from train.export.pictures import Picture
from train.export.runs import Run
from train.export.select import COLUMNS, Row, clear_tainted_scores, last_score
from train.export.tokens import PLACEHOLDER, Ruler, make_trainer_safe

Turns = list[tuple[str, str]]
"""A conversation as (from, value), in the words of InternVL's records: system, human, gpt."""


SAMPLE_COLUMNS = (
    *COLUMNS, "other_answers", "context_names_answer", "config_digest", "nodes.id", "nodes.parent", "nodes.rest",
    "nodes.unasked", "nodes.leaks", "nodes.leak_checks.verdict", "nodes.votes.verdict",
)  # fmt: skip
"""What a sample is made from, as :data:`~train.export.select.COLUMNS`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One kept row as a training sample. All texts but those in ``nodes`` are :func:`make_trainer_safe`.

    ``id`` is unique over all runs: the case id, with the run's name behind it where two runs keep the same case id.
    ``prompt`` is what the model is asked, without picture placeholders; ``completion`` the chain. ``images`` are paths
    as exported: relative to the export, or absolute for a picture referenced where it lies. ``score`` is that of the
    last chosen step, in [0, 1]. ``context`` is what interns were told beside the question. ``verdicts`` is what
    reviewers say of the chain. ``nodes`` are the row's candidates of all attempts, raw as in the row schema, but
    without the votes' texts. ``tokens`` is the measured length.
    """

    id: str
    case_id: str
    run: str
    prompt: str
    question: str
    answer: str
    steps: tuple[str, ...]
    final_answer: str
    completion: str
    images: tuple[str, ...]
    outcome: str
    quality: str
    score: float
    rounds: int
    mentors: tuple[str, ...]
    nodes: tuple[Mapping[str, Any], ...]
    config_digest: str
    tokens: int
    context: str = ""
    context_names_answer: bool | None = None
    other_answers: tuple[str, ...] = ()
    verdicts: ChainVerdicts | None = None


Node = Mapping[str, Any]
"""One candidate of a row, as `mics_ray.io.rows` writes it."""


def make_turns(prompt: str, completion: str, pictures: int) -> Turns:
    """The conversation as (from, value): one placeholder for each picture, all before the prompt; then the chain."""
    return [("human", f"{PLACEHOLDER}\n" * pictures + prompt), ("gpt", completion)]


def scored_nodes(sample: Sample) -> list[Node]:
    """The candidates with a score, of all attempts, in the order of their ids; failed ones have none."""
    return [node for node in sample.nodes if node["score"] is not None]


def steps_down_to(sample: Sample, parent: int | None) -> tuple[str, ...]:
    """The steps from the root of the parent's attempt down to the parent, the parent's own included."""
    nodes = {node["id"]: node for node in sample.nodes}
    path: list[Node] = []
    while parent is not None:
        path.append(nodes[parent])
        parent = nodes[parent]["parent"]
    return tuple(step for node in reversed(path) for step in node["steps"])


def intern_question(sample: Sample, prompts: PromptsConfig, steps: tuple[str, ...]) -> str:
    """What an intern is asked after ``steps``, safe for trainers, without picture placeholders."""
    case = Case(sample.case_id, sample.question, "", sample.images, context=sample.context)
    return make_trainer_safe(fill_intern_prompt(prompts, case, steps))


def with_placeholders(sample: Sample, text: str) -> str:
    """``text`` behind one ``<image>`` line for each picture of the sample, as InternVL reads it."""
    return "<image>\n" * len(sample.images) + text


def measure_row(row: Row, pictures: Sequence[Picture], prompts: PromptsConfig, ruler: Ruler) -> int:
    """The tokens that a row takes as a sample."""
    turns = make_turns(_make_prompt(row, prompts), _make_completion(row), len(pictures))
    return ruler.count_tokens(turns, [picture.size for picture in pictures])


@dataclass(frozen=True, slots=True)
class SampleMaker:
    """Makes samples of rows with :data:`SAMPLE_COLUMNS`."""

    prompts: PromptsConfig
    leaks: LeakFilter

    def make_sample(self, run: Run, row: Row, pictures: Sequence[Picture], name: str, tokens: int) -> Sample:
        """The sample ``name`` of a selected row, whose last chosen step has a score."""
        score = last_score(row)
        assert score is not None  # the selection leaves out rows without
        if self.leaks is not LeakFilter.keep:
            clear_tainted_scores(row)
        return Sample(
            id=name,
            case_id=row["case_id"],
            run=run.name,
            prompt=_make_prompt(row, self.prompts),
            question=make_trainer_safe(row["question"]),
            context=make_trainer_safe(row["context"]),
            context_names_answer=row["context_names_answer"],
            answer=make_trainer_safe(row["answer"]),
            other_answers=tuple(map(make_trainer_safe, row["other_answers"])),
            steps=tuple(map(make_trainer_safe, row["steps"])),
            final_answer=make_trainer_safe(row["final_answer"]),
            completion=_make_completion(row),
            images=tuple(picture.path for picture in pictures),
            outcome=row["outcome"],
            quality=row["quality"],
            score=score,
            rounds=row["rounds"],
            mentors=tuple(row["mentors"]),
            nodes=tuple(row["nodes"]),
            config_digest=row["config_digest"],
            tokens=tokens,
            verdicts=run.reviews.sum_chain(row),
        )


def _make_prompt(row: Row, prompts: PromptsConfig) -> str:
    # The gold answer is left out of the case, so that no template can put it into a prompt.
    case = Case(row["case_id"], row["question"], "", tuple(row["images"]), context=row["context"])
    return make_trainer_safe(fill_intern_prompt(prompts, case, ()))


def _make_completion(row: Row) -> str:
    steps = tuple(map(make_trainer_safe, row["steps"]))
    return make_trainer_safe(format_chain(Continuation(steps, make_trainer_safe(row["final_answer"]))))
