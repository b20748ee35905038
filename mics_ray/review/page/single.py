"""A written report as one file, where it is small enough to be sent to somebody."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mics_ray.review.data.chunks import unwrap_script
from mics_ray.review.page.build import PageContent, build_single_page, encode_address

MOST_CASES, MOST_BYTES = 1_000, 10 * 10**6
_KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class SinglePage:
    """The page's text; where there is none, ``why_not`` says why."""

    text: str | None
    why_not: str = ""


def join_report(folder: Path, content: PageContent, cases: int) -> SinglePage:
    """The report in ``folder``, a page with its files beside it, as one page that holds every case."""
    if cases > MOST_CASES:
        return SinglePage(None, f"more than {MOST_CASES:,} cases")
    # A third more in base64: looked at before anything is read.
    pictures = sum(path.stat().st_size for path in (folder / "pictures").rglob("*") if path.is_file())
    if pictures * 4 / 3 > MOST_BYTES:
        return SinglePage(None, f"its pictures alone would take more than {MOST_BYTES // 10**6} MB")
    charts = [replace(one, picture=_read_address(folder / one.picture)) for one in content.charts]
    text = build_single_page(replace(content, charts=charts), dict(_read_data(folder)))
    if len(text.encode()) > MOST_BYTES:
        return SinglePage(None, f"it would take more than {MOST_BYTES // 10**6} MB")
    return SinglePage(text)


def _read_data(folder: Path) -> Iterator[tuple[str, str]]:
    """Encoded data by name, and pictures by their path, as addresses."""
    for path in sorted((folder / "data").rglob("*.js")):
        yield (
            path.relative_to(folder / "data").with_suffix("").as_posix(),
            unwrap_script(path.read_text(encoding="utf-8")),
        )
    for path in sorted((folder / "pictures").rglob("*.*")):
        yield path.relative_to(folder).as_posix(), _read_address(path)


def _read_address(path: Path) -> str:
    return encode_address(path.read_bytes(), _KINDS[path.suffix])
