"""The files of an export that have a part of each sample: all of them are written in one pass over the samples."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mics_ray.errors import RefusedRun
from train.export.config import CHAINS, ExportJob
from train.export.curriculum import TRAIN, VALIDATION, ExportPlace, make_meta_entry, write_meta
from train.export.forms.chat import DATASET_INFO, chat_records
from train.export.forms.internvl import BadRecord, RecordChecker, to_record
from train.export.forms.pairs import chain_pairs, count_pair_tokens, step_pairs, to_mpo_record
from train.export.forms.reviewed import Rivals, human_rewards, reviewed_pairs
from train.export.forms.rewards import reward_rows, stepwise_rows
from train.export.jsonl import JsonlFile, open_jsonl, write_file
from train.export.samples import Sample
from train.export.tokens import Ruler

STEPS, CHAIN, REVIEWED = "steps", "chains", "reviewed"
"""Kinds of pairs."""


def list_files(validates: bool, reviewed: bool) -> list[str]:
    """The files of records, in the order in which the report lists them.

    ``validates``: whether a sample is on the validation side; ``reviewed``: whether a run has reviews.
    """
    return [
        TRAIN,
        *(["validation.jsonl"] if validates else []),
        *(f"pairs/{kind}{form}.jsonl" for kind in (STEPS, CHAIN) for form in ("", "_mpo")),
        "rewards.jsonl",
        "rewards_stepwise.jsonl",
        *([f"pairs/{REVIEWED}.jsonl", f"pairs/{REVIEWED}_mpo.jsonl", "rewards_human.jsonl"] if reviewed else []),
        "chat.jsonl",
    ]


@contextmanager
def open_files(folder: Path, names: Iterable[str]) -> Iterator[dict[str, JsonlFile]]:
    """Files to write records to by their names, which they have once the block ends well. Raises ``OSError``."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(open_jsonl(folder / name)) for name in names}


class SampleWriter:
    """Takes samples one by one; ``files`` are those of :func:`list_files`, ``rivals`` the rejected chains.

    ``long_pairs`` are the ids of pairs that are left out as too long, by kind.
    """

    def __init__(
        self, job: ExportJob, place: ExportPlace, ruler: Ruler, files: Mapping[str, JsonlFile], rivals: Rivals
    ) -> None:
        self._job, self._place, self._ruler, self._files, self._rivals = job, place, ruler, files, rivals
        kinds = [kind for kind in (STEPS, CHAIN, REVIEWED) if f"pairs/{kind}.jsonl" in files]
        self.long_pairs: dict[str, list[str]] = {kind: [] for kind in kinds}

    def add_sample(self, sample: Sample, validates: bool) -> None:
        """Write a sample into every file of its side.

        Raises :class:`RefusedRun` for a record that the trainer would not read as itself, ``OSError``.
        """
        self._files["validation.jsonl" if validates else TRAIN].write(self._make_record(sample))
        if validates:
            return
        for kind in self.long_pairs:
            self._add_pairs(kind, sample)
        for name, records in self._list_records(sample):
            for record in records:
                self._files[name].write(record)

    def write_metas(self) -> None:
        """Write the meta files of the validation side and of pairs, and LLaMA-Factory's list of data sets."""
        counts = self.count_records()
        if "validation.jsonl" in counts:
            self._write_meta(VALIDATION, CHAINS, "validation.jsonl")
        for kind in self.long_pairs:
            if counts[f"pairs/{kind}_mpo.jsonl"]:
                self._write_meta(f"{kind}_mpo", kind, f"pairs/{kind}_mpo.jsonl")
        write_file(self._place.folder / "dataset_info.json", json.dumps(DATASET_INFO, indent=1))

    def count_records(self) -> dict[str, int]:
        """Records by file."""
        return {name: file.count for name, file in self._files.items()}

    def _write_meta(self, stage: str, name: str, file: str) -> None:
        final, count = self._place.final, self._files[file].count
        write_meta(self._place, stage, {name: make_meta_entry(final, final / file, count, 1, self._job.length)})

    def _make_record(self, sample: Sample) -> dict[str, Any]:
        """The record of a sample, which has passed the same check as other data sets."""
        record = to_record(sample)
        try:
            RecordChecker(self._place.folder, self._ruler).check_record(record)
        except BadRecord as bad:
            raise RefusedRun(f"record {sample.id}: {bad}") from None
        return record

    def _add_pairs(self, kind: str, sample: Sample) -> None:
        """Pairs of a kind in TRL's and in MPO's form; those that are too long go to the report."""
        for pair in self._find_pairs(kind, sample):
            if count_pair_tokens(pair, sample, self._ruler) > self._job.length.max_seq_length:
                self.long_pairs[kind].append(pair["id"])
                continue
            self._files[f"pairs/{kind}.jsonl"].write(pair)
            self._files[f"pairs/{kind}_mpo.jsonl"].write(to_mpo_record(pair))

    def _find_pairs(self, kind: str, sample: Sample) -> Iterator[dict[str, Any]]:
        if kind == STEPS:
            return step_pairs((sample,), self._job.prompts, self._job.select.pair_margin)
        if kind == REVIEWED:
            return reviewed_pairs((sample,), self._rivals)
        return chain_pairs((sample,), self._job.prompts)

    def _list_records(self, sample: Sample) -> Iterator[tuple[str, Iterable[Mapping[str, Any]]]]:
        """What a sample gives each file, pairs left out."""
        prompts = self._job.prompts
        yield "rewards.jsonl", reward_rows((sample,), prompts)
        yield "rewards_stepwise.jsonl", stepwise_rows((sample,), prompts, self._job.select.step_right)
        if "rewards_human.jsonl" in self._files:
            yield "rewards_human.jsonl", human_rewards((sample,))
        yield "chat.jsonl", chat_records((sample,), prompts)
