"""``mics review``: people mark the kept chains of a run; what comes of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, RefusedRun
from mics_ray.review.chosen import Choice
from mics_ray.review.marks.reviewers import check_reviewer
from mics_ray.review.marks.sample import Order
from mics_ray.review.marks.store import MarkStore, open_store
from mics_ray.review.run_source import open_source
from mics_ray.review.serve.session import ReviewSession
from mics_ray.review.settings import run_settings

REVIEW_HELP = """\
Show the kept chains of a run to a reviewer, who marks each step right, wrong or unsure, and accepts or rejects each
chain, in a browser on this machine. Marks go to run.dir/reviews/NAME.jsonl, each synced at once; the same command goes
on where NAME stopped. Ctrl-C ends it.

  mics review run.dir=FOLDER reviewer=NAME            the address of the page
    review.sample=200        how many chains
    review.order=sample      sample (of each outcome and score its share), or uncertainty (split votes first)
    review.seed=0            of the sample; reviewers with the same one are given the same chains

What the marks of all reviewers come to (the report shows it too):

  mics review summary run.dir=FOLDER

The same in a tool of your own: chains (with NAME's marks, if given) to a folder, marks from a file back to NAME's:

  mics review export run.dir=FOLDER format=csv|label_studio [reviewer=NAME] [dir=FOLDER] [review.sample=…]
  mics review import run.dir=FOLDER format=csv|label_studio file=FILE reviewer=NAME [completed_by=PERSON]

Exit codes: 0 ended, 73 NAME has a review of the run open, 74 cannot write, 78 no run, no chain or no such name.
"""
SAMPLE, ORDER, SEED = "review.sample", "review.order", "review.seed"


def run_review(argv: Sequence[str]) -> int:
    """Serve a reviewer's page, or do what the first word says; returns the exit code."""
    word, rest = (argv[0], argv[1:]) if argv and argv[0] in _WORDS else ("", argv)
    needed, more, act = _WORDS[word]
    return run_settings(rest, REVIEW_HELP, needed, more, act)


def _review(given: dict[str, str]) -> int:
    run = open_source(Path(given["run.dir"]))
    reviewer = check_reviewer(run.folder, given["reviewer"])
    from mics_ray.review.serve.pages import make_page_folder, write_pages
    from mics_ray.review.serve.server import serve_review

    choice = read_choice(given)
    console = Console(highlight=False, soft_wrap=True)
    try:
        with open_store(run.folder, reviewer) as store, make_page_folder(run.folder, reviewer) as folder:
            console.print(f"reading the chains of {run.folder} …", style="dim", markup=False)
            marked = {mark.case_id for mark in store.book.current.values() if mark.verdict or mark.comment}
            session = ReviewSession(store, write_pages(run, folder, reviewer, choice, marked))
            for line in _list_notes(session, store):
                console.print(line, style="yellow", markup=False)
            serve_review(
                session,
                folder,
                lambda address: console.print(
                    f"review   {address}   (open it in a browser on this machine; Ctrl-C ends it)", markup=False
                ),
            )
            console.print(
                f"{session.count_done():,} of {session.count_chains():,} chains done; the same command goes on",
                markup=False,
            )
    except OSError as error:
        console.print(f"cannot write {error.filename or run.folder}: {error.strerror}", style="red", markup=False)
        return EXIT_CANNOT_WRITE
    return EXIT_OK


def _summarise(given: dict[str, str]) -> int:
    from mics_ray.review.summary.command import print_summary

    print_summary(open_source(Path(given["run.dir"])), Console(highlight=False))
    return EXIT_OK


def _export(given: dict[str, str]) -> int:
    from mics_ray.review.exchange.command import export_review

    return export_review(given, read_choice(given), Console(highlight=False, soft_wrap=True))


def _import(given: dict[str, str]) -> int:
    from mics_ray.review.exchange.command import import_review

    return import_review(given, Console(highlight=False, soft_wrap=True))


_CHOICE = (SAMPLE, ORDER, SEED)
_WORDS: Mapping[str, tuple[Sequence[str], Sequence[str], Callable[[dict[str, str]], int]]] = {
    "": (("run.dir", "reviewer"), _CHOICE, _review),
    "summary": (("run.dir",), (), _summarise),
    "export": (("run.dir", "format"), ("reviewer", "dir", *_CHOICE), _export),
    "import": (("run.dir", "format", "file", "reviewer"), ("completed_by",), _import),
}
"""By the first word: settings that are needed, settings that may be given, what is done."""


def _list_notes(session: ReviewSession, store: MarkStore) -> list[str]:
    notes = []
    if store.torn:
        notes.append("the last mark was cut off when the program ended and is left out: it had not been answered for")
    if strangers := session.count_strangers():
        notes.append(f"{strangers} marks are about chains that the run does not hold (any more); they are kept apart")
    return notes


def read_choice(given: dict[str, str]) -> Choice:
    """Which chains. Raises :class:`RefusedRun`."""
    return Choice(read_order(given), read_number(given, SAMPLE, 200, 1), read_number(given, SEED, 0, 0))


def read_order(given: dict[str, str]) -> Order:
    """How chains are chosen. Raises :class:`RefusedRun`."""
    try:
        return Order(given.get(ORDER, Order.SAMPLE))
    except ValueError:
        raise RefusedRun(f"{ORDER}: write {' or '.join(Order)}") from None


def read_number(given: dict[str, str], name: str, usual: int, least: int) -> int:
    """A whole number. Raises :class:`RefusedRun`."""
    try:
        number = int(given.get(name, usual))
    except ValueError:
        number = least - 1
    if number < least:
        raise RefusedRun(f"{name}: write a whole number from {least} on")
    return number
