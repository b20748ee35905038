"""The page itself: from a template and what is told of a run to HTML, beside its files or alone in one."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mics_ray.review.data.chart import Chart

ASSETS = Path(__file__).parent / "assets"
STYLES = ("page.css",)
SCRIPTS = ("data.js", "dom.js", "tables.js", "list.js", "tree.js", "case.js", "app.js")
"""In the order in which the page runs them."""
REVIEW_SCRIPTS = (*SCRIPTS[:3], "marks.js", *SCRIPTS[3:-1], "review.js", SCRIPTS[-1])
"""Those of the page on which chains are marked."""

# Nothing is loaded from elsewhere, no script but these files runs, nothing is sent.
POLICY = (
    "default-src 'none'; script-src {scripts}; style-src {styles}; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """A chart with its picture: an address that an ``img`` takes."""

    chart: Chart
    picture: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its title and what must be known to read it."""

    title: str
    words: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class PageContent:
    """What is told on the page beside its cases.

    ``figures`` are (name, value) pairs, ``run`` is what the scripts need.
    """

    title: str
    warnings: Sequence[str]
    figures: Sequence[tuple[str, str]]
    tables: Sequence[Table]
    charts: Sequence[DrawnChart]
    run: Mapping[str, Any]


def build_page(content: PageContent) -> str:
    """The page whose scripts, styles, pictures and data are files beside it."""
    # Of a page from the disk Chromium takes 'self' for its files, Firefox wants the scheme.
    policy = POLICY.format(scripts="'self' file:", styles="'self' file:").replace(
        "img-src 'self'", "img-src 'self' file:"
    )
    return _render(content, policy=policy)


def build_single_page(content: PageContent, data: Mapping[str, str]) -> str:
    """The page in one file; ``data`` are the encoded data by name, pictures as addresses of ``data:`` by path."""
    styles, scripts = ([_read_asset(name) for name in names] for names in (STYLES, SCRIPTS))
    policy = POLICY.format(scripts=_list_hashes(scripts), styles=_list_hashes(styles))
    return _render(content, policy=policy, styles=styles, scripts=scripts, data=data)


def build_review_page(content: PageContent) -> str:
    """The page on which chains are marked: served, its files beside it; it asks its own server and nobody else."""
    policy = POLICY.format(scripts="'self'", styles="'self'") + "; connect-src 'self'"
    return _render(content, name="review.html", policy=policy, script_files=REVIEW_SCRIPTS)


def _render(content: PageContent, name: str = "page.html", **more: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template(name)
    # Browsers do not unescape what a script element holds: what could end it is written in JSON's way.
    run = json.dumps(content.run, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    beside = {"style_files": STYLES, "script_files": SCRIPTS, "styles": [], "scripts": [], "data": {}}
    return template.render(content=content, run=run, **(beside | more))


def _list_hashes(texts: Sequence[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _read_asset(name: str) -> str:
    text = (ASSETS / name).read_text(encoding="utf-8")
    if "</" in text:
        raise ValueError(f"{name}: '</' may end the element that holds it")
    return text


def list_assets(scripts: Sequence[str] = SCRIPTS) -> dict[str, str]:
    """The files that go beside the page, by name."""
    return {name: (ASSETS / name).read_text(encoding="utf-8") for name in (*STYLES, *scripts)}


def encode_address(data: bytes, kind: str) -> str:
    """A file as an address of its own."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
