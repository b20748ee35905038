"""Sets up a virtual environment for `make`: ``python3.11 scripts/env/set_up.py FOLDER PIP_ARGUMENT…``.

Standard library only, and words that an older Python reads too. What stops it is told in one line that says what to
do; all that pip said lies in ``FOLDER/install.log``. The same command goes on where it was interrupted.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

OLDEST, NEWEST = (3, 11), (3, 12)
EXIT_STOPPED, EXIT_FAILED, EXIT_REFUSED = 75, 1, 78
CAUSES = (
    (
        r"No space left on device|Disk quota exceeded",
        "no space is left: free 8 GB here and in the folder of temporary files (TMPDIR)",
    ),
    (r"ensurepip", "Python's module venv is not installed: on Debian and Ubuntu, apt-get install python3.11-venv"),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "the certificate of the package index is not trusted: give your organisation's in PIP_CERT",
    ),
    (
        r"Failed to establish a new connection|Temporary failure in name resolution|Name or service not known|"
        r"Connection refused|Network is unreachable|timed out|ProxyError|Connection aborted|ConnectTimeout",
        "the package index does not answer: look at the network, at https_proxy and at PIP_INDEX_URL",
    ),
    (r"Permission denied|Read-only file system", "the folder cannot be written: make a clone that is yours"),
    (
        r"No matching distribution found for (\S+)|Could not find a version that satisfies the requirement (\S+)",
        "the package index does not answer, or has no {} for this Python and machine (Linux on x86-64)",
    ),
)
"""Words of pip or venv, and what they mean for the user; the first that is found counts."""


def explain_failure(log: str) -> str:
    """Why an installation ended, in one line, from what was said in it."""
    for pattern, meaning in CAUSES:
        found = re.search(pattern, log)
        if found:
            return meaning.format(next((name for name in found.groups() if name), ""))
    said = [line.strip() for line in log.splitlines() if re.search("error", line, re.IGNORECASE)]
    return said[-1][:200] if said else "for a reason that is not known"


def check_version(version: tuple[int, int], folder: str, made_by: tuple[int, int] | None) -> str | None:
    """Why this Python, or the one that made ``folder`` before, will not do; None if it will."""
    if not OLDEST <= version <= NEWEST:
        return f"Python 3.11 is needed, this is {version[0]}.{version[1]}: make PYTHON=/path/to/python3.11"
    if made_by is not None and not OLDEST <= made_by <= NEWEST:
        return f"{folder} is of Python {made_by[0]}.{made_by[1]}: remove it, then the same command again"
    return None


def read_version(python: str) -> tuple[int, int] | None:
    """Major and minor version of a program, None where there is none that runs."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        said = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    major, minor = said.stdout.split()
    return int(major), int(minor)


def run_logged(log: str, *arguments: str) -> bool:
    """Run a step, its output into ``log``; whether it succeeded."""
    with open(log, "ab") as output:
        return subprocess.call(arguments, stdout=output, stderr=subprocess.STDOUT) == 0


def install(folder: str, arguments: list[str]) -> str | None:
    """Do all of it; returns None, or what went wrong in one line."""
    python, log = os.path.join(folder, "bin", "python"), os.path.join(folder, "install.log")
    os.makedirs(folder, exist_ok=True)
    open(log, "wb").close()
    pip = (python, "-m", "pip")
    has_pip = os.path.exists(python) and run_logged(log, *pip, "--version")  # one that was interrupted may have none
    done = (
        (has_pip or run_logged(log, sys.executable, "-m", "venv", folder))
        and run_logged(log, *pip, "install", "--quiet", *arguments)
        and run_logged(log, *pip, "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
        and run_logged(log, python, os.path.join("scripts", "env", "install_hook.py"))
    )
    if done:
        return None
    with open(log, "rb") as file:
        return explain_failure(file.read().decode("utf-8", "replace"))


def main(folder: str, arguments: list[str]) -> int:
    """Set up, say what stands in the way, return the exit status."""
    problem = check_version(sys.version_info[:2], folder, read_version(os.path.join(folder, "bin", "python")))
    if problem:
        print(f"refused: {problem}", file=sys.stderr)
        return EXIT_REFUSED
    try:
        problem = install(folder, arguments)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on", file=sys.stderr)
        return EXIT_STOPPED
    except OSError as error:
        problem = explain_failure(str(error))
    if problem:
        print(
            f"cannot set up {folder}: {problem}; then the same command goes on ({folder}/install.log)", file=sys.stderr
        )
    return EXIT_FAILED if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
