"""Preference pairs out of the search: the best step of a round against the worst, the kept chain against a bad one.

Records are in the form that TRL's trainers read for vision models: ``prompt``, ``chosen`` and ``rejected`` are lists of
messages whose content is a list of parts, one ``{"type": "image"}`` for each of ``images``, before the text. Paths are
relative to the export, so there: ``load_dataset("json", ...).cast_column("images", List(Image()))``.

:func:`to_mpo_record` turns a record into the one that InternVL's MPO trainer reads. One cannot be both: MPO takes
``chosen`` as a plain string, and TRL puts a key ``image`` in the place of ``images``.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from mics_ray.config.schema import PromptsConfig
from mics_ray.core.reading.text import format_chain, format_steps, parse_continuation
from mics_ray.core.types import Continuation
from train.export.samples import Node, Sample, intern_question, scored_nodes, steps_down_to
from train.export.tokens import Ruler, make_trainer_safe


def step_pairs(samples: Iterable[Sample], prompts: PromptsConfig, margin: int = 2) -> Iterator[dict[str, Any]]:
    """Of each round of each attempt the best and the worst candidate, where their words differ and the best is ahead by
    ``margin`` of 6 votes at least: one vote may go either way by chance.

    Votes that were lost count against that; a margin of 0 asks for any difference of scores.
    The prompt holds the chain so far, ``chosen`` and ``rejected`` the steps that go on from it.
    """
    for sample in samples:
        for siblings in _group_rounds(sample):
            # Of equal scores the step that the search chose, then the lowest id: the order in a row decides nothing.
            best = max(siblings, key=lambda node: (node["score"], node["chosen"], -node["id"]))
            worst = min(siblings, key=lambda node: (node["score"], node["id"]))
            if worst["score"] >= best["score"] or (margin and not _is_ahead(best, worst, margin)):
                continue
            before = steps_down_to(sample, best["parent"])
            texts = [make_trainer_safe(format_steps(node["steps"], len(before) + 1)) for node in (best, worst)]
            if texts[0] != texts[1]:
                record = pair_record(
                    sample, f"{best['id']}-{worst['id']}", intern_question(sample, prompts, before), *texts
                )
                yield record | _pair_origin(best["score"], best["mentor"], worst)


def chain_pairs(samples: Iterable[Sample], prompts: PromptsConfig) -> Iterator[dict[str, Any]]:
    """Of each case the kept chain and the complete chain of the lowest-scoring candidate of all attempts.

    Only where that score is below the kept chain's, and the chains differ. A rejected chain may well end with the gold
    answer, which mentors know: what is rejected is its steps, from which interns did not get there. ``round`` is the
    rejected candidate's.
    """
    for sample in samples:
        for node in sorted(scored_nodes(sample), key=lambda node: (node["score"], node["id"])):
            rejected = _complete_chain(sample, node)
            if rejected and rejected != sample.completion:
                if node["score"] < sample.score:
                    record = pair_record(sample, str(node["id"]), sample.prompt, sample.completion, rejected)
                    yield record | _pair_origin(sample.score, sample.mentors[-1], node)
                break


def to_mpo_record(pair: Mapping[str, Any]) -> dict[str, Any]:
    """A pair as InternVL's ``internvl_chat_mpo.py`` reads it: plain strings, and ``image`` only where there is one.

    That trainer sorts by length only with a ``length`` in each record: train with ``--group_by_length False``.
    """
    text = pair["prompt"][0]["content"][-1]["text"]
    rest = {name: value for name, value in pair.items() if name not in ("prompt", "images")}
    return {
        **rest,
        **({"image": pair["images"]} if pair["images"] else {}),
        "question": "<image>\n" * len(pair["images"]) + text,
        "chosen": pair["chosen"][0]["content"][0]["text"],
        "rejected": pair["rejected"][0]["content"][0]["text"],
    }


def count_pair_tokens(pair: Mapping[str, Any], sample: Sample, ruler: Ruler) -> int:
    """Tokens of the longer side of a pair of ``sample``, measured as a record is."""
    told = to_mpo_record(pair)
    question = pair["prompt"][0]["content"][-1]["text"]
    own = ruler.count_text_tokens([("human", sample.prompt), ("gpt", sample.completion)])
    longer = max(ruler.count_text_tokens([("gpt", told[side])]) for side in ("chosen", "rejected"))
    # The sample's tokens less its texts are pictures and system message: no picture is opened again.
    return sample.tokens - own + ruler.count_text_tokens([("human", question)]) + longer


def _group_rounds(sample: Sample) -> Iterator[list[Node]]:
    """The scored candidates that went on from the same prefix in the same round."""

    def place(node: Node) -> tuple[int, int, int]:
        # None does not compare with numbers; candidates of a first round have no parent.
        return node["attempt"], node["round"], -1 if node["parent"] is None else node["parent"]

    for _, siblings in groupby(sorted(scored_nodes(sample), key=place), key=place):
        yield list(siblings)


def _is_ahead(best: Node, worst: Node, margin: int) -> bool:
    """Whether ``best`` is ahead of ``worst`` by ``margin`` of 6 votes, had all lost votes come out against that."""
    ours, theirs = ([vote["verdict"] for vote in node["votes"]] for node in (best, worst))
    right, most = ours.count("right"), theirs.count("right") + theirs.count("unknown")
    # Whole numbers, for shares of votes are not exact.
    return 6 * (right * len(theirs) - most * len(ours)) >= margin * len(ours) * len(theirs)


def _complete_chain(sample: Sample, node: Node) -> str | None:
    """The chain down to a candidate and on to the end that its mentor wrote; ``None`` where it wrote no end."""
    rest = parse_continuation(node["rest"])
    if rest is None:
        return None
    return make_trainer_safe(format_chain(Continuation((*steps_down_to(sample, node["id"]), *rest.steps), rest.answer)))


def pair_record(sample: Sample, mark: str, prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    """A pair of ``sample`` in TRL's form; ``mark`` tells its pairs apart and holds no ``#``."""
    pictures = [{"type": "image"} for _ in sample.images]
    return {
        "id": f"{sample.id}#{mark}",
        "prompt": [{"role": "user", "content": [*pictures, {"type": "text", "text": prompt}]}],
        "chosen": _assistant_turn(chosen),
        "rejected": _assistant_turn(rejected),
        "images": list(sample.images),
    }


def _assistant_turn(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": [{"type": "text", "text": text}]}]


def _pair_origin(score: float, mentor: str, rejected: Node) -> dict[str, Any]:
    """Where the two sides come from."""
    return {
        "score_chosen": score,
        "score_rejected": rejected["score"],
        "round": rejected["round"],
        "mentor_chosen": mentor,
        "mentor_rejected": rejected["mentor"],
    }
