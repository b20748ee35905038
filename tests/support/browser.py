"""A real browser for tests: the machine's own chromium, driven by playwright; it must stay silent and at home."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
WIDE, NARROW = {"width": 1440, "height": 1000}, {"width": 390, "height": 844}


@contextmanager
def start_browser() -> Iterator[Any]:
    """Chromium without a window. Needs :data:`CHROMIUM` and the package playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # Without its sandbox, which root cannot have; pages are our own.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page with what it complained of and where it asked: ``errors`` and ``requests``."""

    page: Any
    home: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def strangers(self) -> list[str]:
        """Requests to anywhere but the page's own files and server."""
        return [url for url in self.requests if not url.startswith((self.home, "data:"))]

    def wait_for(self, selector: str, text: str = "") -> Any:
        """The element, once it is there and holds ``text``."""
        found = self.page.locator(selector).filter(has_text=text) if text else self.page.locator(selector)
        found.first.wait_for()
        return found.first


def file_address(path: Path) -> str:
    """The address of a file on the disk."""
    return path.resolve().as_uri()


@contextmanager
def open_page(
    browser: Any, address: str, home: str | None = None, silent: bool = True, **options: Any
) -> Iterator[Watched]:
    """Open ``address``; at the end the page must have asked only under ``home`` and, if ``silent``, raised no error."""
    context = browser.new_context(**{"viewport": WIDE, **options})
    page = context.new_page()
    watched = Watched(page, home or address.partition("#")[0].rpartition("/")[0])
    page.on("console", lambda one: watched.errors.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on("request", lambda request: watched.requests.append(request.url))
    page.on("dialog", lambda dialog: (watched.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.goto(address)
    yield watched
    assert watched.strangers() == []
    assert not silent or watched.errors == [], watched.errors
    context.close()


def wait_for_list(page: Any, timeout_s: float = 300) -> None:
    """Until every piece of the list is read."""
    # A selector: wait_for_function would evaluate text, which the page's policy refuses.
    page.locator(".pages:not(:has-text('reading'))").wait_for(timeout=timeout_s * 1000)


def list_violations(page: Any) -> list[str]:
    """What breaks a rule of axe-core on the page, with the elements."""
    from axe_playwright_python.sync_playwright import Axe

    # Its preload would fetch the styles, which no page from the disk may.
    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


CHANGE = """async (id) => {
  const began = performance.now();
  location.hash = `#case=${id}`;
  const shown = () => document.querySelector("#case-title bdi")?.textContent;
  while (shown() !== id) await new Promise((next) => setTimeout(next, 1));
  return performance.now() - began;
}"""


def measure_change_ms(page: Any, case_id: str) -> float:
    """Milliseconds from an address to the case that it names on the page, layout included."""
    found: float = page.evaluate(CHANGE, case_id)
    return found


def measure_first_paint_ms(page: Any) -> float:
    """Milliseconds from the start of loading to the first paint with content."""
    return float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
