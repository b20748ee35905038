"""Chains and marks written for another tool, pictures beside them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.errors import RefusedRun
from mics_ray.private_files import make_private_folder, write_private
from mics_ray.review.chosen import Choice, choose_rows
from mics_ray.review.exchange.csv_form import FILE as CSV_FILE
from mics_ray.review.exchange.csv_form import format_csv
from mics_ray.review.exchange.items import SentChain
from mics_ray.review.exchange.label_studio import CONFIG, fill_steps, make_label_config, make_task
from mics_ray.review.exchange.label_studio import FILE as TASK_FILE
from mics_ray.review.marks.book import MarkBook
from mics_ray.review.marks.chain import list_targets
from mics_ray.review.page.pictures import PictureFiles
from mics_ray.review.report_folder import batch_rows
from mics_ray.review.run_source import RunSource

FILES = {"csv": CSV_FILE, "label_studio": TASK_FILE}
"""By form, the file that is filled in."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was written: the file, how many chains it holds, and how many pictures could not be read."""

    file: Path
    chains: int
    not_shown: int


def send_review(run: RunSource, form: str, folder: Path, choice: Choice, book: MarkBook) -> Sent:
    """Write a choice of chains, and all that ``book`` has marks of, into ``folder``.

    Raises :class:`RefusedRun` where the folder has such a file, which may be filled in; ``OSError``.
    """
    file = folder / FILES[form]
    if file.exists():
        raise RefusedRun(f"dir: {file} is there, and may be filled in; move it away or give another dir=")
    marked = {mark.case_id for mark in book.current.values() if mark.verdict or mark.comment}
    rows = choose_rows(run, choice, marked)
    make_private_folder(folder)
    pictures = PictureFiles(folder, run.find_pictures(), run.read_view())
    chains = []
    for batch in batch_rows(rows.iter_rows()):
        for row, shown in zip(batch, pictures.add_pictures(batch), strict=True):
            files = [one["file"] for one in shown if one["file"]]
            chains.append(SentChain(_slim_row(row), list_targets(row), files, book.current))
    if form == "csv":
        # With its mark at the front a spreadsheet knows UTF-8.
        write_private(file, format_csv(chains).encode("utf-8-sig"))
    else:
        most = max(len(chain.targets) for chain in chains) - 1
        write_private(folder / CONFIG, make_label_config(most))
        write_private(file, json.dumps(fill_steps([make_task(chain) for chain in chains], most), indent=1))
    return Sent(file, len(chains), pictures.not_shown)


def _slim_row(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the search, which is most of a row."""
    return {name: row[name] for name in ("case_id", "question", "answer", "context", "steps", "final_answer")}
