"""The floors of the house: who imports whom, and which library lives where (contracts in pyproject.toml)."""

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
HEAVY = ("ray", "torch", "vllm", "openai", "httpx2", "pyarrow", "transformers", "PIL", "numpy")


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "mics_ray mics_ray.core mics_ray.core.search mics_ray.core.best_of_n mics_ray.core.reading.verdict",
        "mics_ray.config mics_ray.config.schema",
        "mics_ray.testing",
        "mics_ray.assemble.entry_checks mics_ray.models.chat.classify mics_ray.models.chat.client",
    ],
)
def test_core_and_config_load_nothing_heavy(module: str) -> None:
    program = f"""
import importlib, sys
for name in {module.split()!r}:
    importlib.import_module(name)
print(*sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_search_worker_loads_no_http_client() -> None:
    """Nor with the modules of the actors whose handles it has, which Ray loads in it."""
    program = """
import sys
import mics_ray.runtime.driver.search_worker, mics_ray.runtime.driver.endpoint_actor, mics_ray.runtime.driver.writer
print(*sorted({"aiohttp", "openai", "httpx2", "pandas"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_public_names_load_what_they_need_and_no_more() -> None:
    """All but ``read_rows`` load nothing heavy; that one loads pyarrow when it is first asked for."""
    program = f"""
import sys, mics_ray
loaded = lambda: sorted(set({HEAVY!r}) & set(sys.modules))
for name in mics_ray.__all__:
    if name != "read_rows":
        getattr(mics_ray, name)
print(*loaded(), "search_case" in dir(mics_ray), mics_ray.search_case.__module__)
mics_ray.read_rows
print("pyarrow" in loaded())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True mics_ray.core.search", "True"]


def test_the_core_needs_the_standard_library_only() -> None:
    """What an interpreter loads by itself (hooks of the environment) is no matter of ours."""
    program = """
import pkgutil, importlib, sys
before = set(sys.modules)
import mics_ray.core
for found in pkgutil.iter_modules(mics_ray.core.__path__):
    importlib.import_module("mics_ray.core." + found.name)
new = [sys.modules[name] for name in set(sys.modules) - before]
print(*{module.__name__ for module in new if "site-packages" in (getattr(module, "__file__", None) or "")})
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
