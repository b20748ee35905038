"""What stops the setting up of ``.venv`` is told in one line that says what to do."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.env.set_up import EXIT_FAILED, EXIT_STOPPED, check_version, explain_failure
from tests.support.processes import until

PROGRAM = Path(__file__).parents[3] / "scripts" / "env" / "set_up.py"
NO_INDEX = ("--retries", "1", "--index-url", "http://127.0.0.1:9/simple")


@pytest.mark.parametrize(
    ("log", "word"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "free 8 GB"),
        (
            "WARNING: Retrying: Temporary failure in name resolution\nERROR: No matching distribution found for ray",
            "net",
        ),
        (
            "ReadTimeoutError(\"HTTPSConnectionPool(host='x', port=443): Read timed out.\")",
            "the package index does not",
        ),
        ("ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407'))", "https_proxy"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] self-signed'))", "PIP_CERT"),
        ("The virtual environment was not created successfully because ensurepip is not available.", "python3.11-venv"),
        ("ERROR: No matching distribution found for torch==2.11.0+cpu", "or has no torch==2.11.0+cpu for this"),
        ("[Errno 13] Permission denied: '/srv/mics/.venv'", "cannot be written"),
        ("Collecting x\nerror: subprocess-exited-with-error", "subprocess-exited-with-error"),
        ("", "not known"),
    ],
)
def test_each_cause_has_its_line(log: str, word: str) -> None:
    line = explain_failure(log)
    assert word in line
    assert "\n" not in line


def test_another_python_is_refused_by_its_number() -> None:
    assert "this is 3.9" in str(check_version((3, 9), ".venv", None))
    assert ".venv is of Python 3.10: remove it" in str(check_version((3, 11), ".venv", (3, 10)))
    assert check_version((3, 11), ".venv", (3, 12)) is None


@pytest.mark.heavy
def test_an_index_that_does_not_answer_is_one_line_and_an_interrupted_one_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "env"
    command = [sys.executable, str(PROGRAM), str(folder), *NO_INDEX, "no-such-package"]
    begun = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(lambda: (folder / "bin" / "python").exists())
    os.killpg(begun.pid, signal.SIGINT)
    assert (begun.wait(), begun.communicate()[1].strip()) == (EXIT_STOPPED, "stopped; the same command goes on")
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == EXIT_FAILED
    assert ended.stderr.count("\n") == 1
    assert "the package index does not answer" in ended.stderr
