"""The Dockerfile, read as Docker reads it: its sources are there, it installs what the Makefile does, no secret."""

import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from mics_ray.config.compose import looks_like_key
from mics_ray.submit import vm_file
from mics_ray.submit.kuberay import pods

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "cluster/docker/Dockerfile"
INSTRUCTIONS = {"FROM", "RUN", "USER", "WORKDIR", "ENV", "ARG", "COPY", "ENTRYPOINT", "CMD"}
FLAVOURS = ("cpu", "gpu")


def instructions() -> list[tuple[str, str]]:
    """Word and rest of each instruction, continued lines joined, comments left out."""
    lines = [line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def of(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def copied() -> list[str]:
    """Sources of every COPY."""
    return [source for rest in of("COPY") for source in re.sub(r"--\S+ ", "", rest).split()[:-1]]


def test_every_instruction_is_known_and_the_base_comes_first() -> None:
    words = [word for word, _ in instructions()]
    assert set(words) <= INSTRUCTIONS
    assert words[0] == "FROM"
    assert re.fullmatch(r"python:3\.11-[\w.-]+", of("FROM")[0])


def test_every_source_is_there_and_none_is_kept_out_of_the_build() -> None:
    patterns = (ROOT / "cluster/docker/Dockerfile.dockerignore").read_text().split("\n")
    allowed = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    assert "*" in patterns
    assert len(copied()) >= 9
    for source in copied():
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in allowed
    assert all(not any(fnmatch(name, pattern) for pattern in allowed) for name in ("runs", ".env", ".git", "my"))


def test_every_package_of_the_project_is_in_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = [name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]]
    assert set(packages) | {"conf", "scripts", "pyproject.toml"} <= set(copied())


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_flavour_installs_what_the_makefile_does(flavour: str) -> None:
    text = (ROOT / "Makefile").read_text()
    both = re.search(r"ifeq \(\$\(FLAVOUR\),cpu\)\nINSTALL := (.*)\nelse\nINSTALL := (.*)\nendif", text)
    assert both is not None
    wanted = both[FLAVOURS.index(flavour) + 1].replace("$(FLAVOUR),dev", flavour)
    (script,) = [rest for rest in of("RUN") if "case" in rest]
    branch = re.search(rf"\b{flavour}\) pip install --no-cache-dir (.*?) ;;", script)
    assert branch is not None
    assert branch[1] == wanted


def test_an_unknown_flavour_ends_the_build(tmp_path: Path) -> None:
    (script,) = [rest for rest in of("RUN") if "case" in rest]
    (tmp_path / "pip").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "pip").chmod(0o755)
    chosen = script[script.index("case") :]
    shell = shutil.which("sh") or "sh"
    ends = {
        flavour: subprocess.run(
            [shell, "-c", chosen], env={"FLAVOUR": flavour, "PATH": str(tmp_path)}, capture_output=True, check=False
        ).returncode
        for flavour in (*FLAVOURS, "tpu")
    }
    assert ends == {"cpu": 0, "gpu": 0, "tpu": 64}


def test_every_script_is_valid_shell() -> None:
    for script in of("RUN"):
        done = subprocess.run(["sh", "-n", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_nobody_is_root_and_the_user_is_the_one_of_the_pods() -> None:
    assert of("USER")[-1] == "mics"
    assert f"useradd --uid {pods.USER} " in of("RUN")[0]
    assert instructions().index(("USER", "mics")) < min(
        number for number, (word, _) in enumerate(instructions()) if word == "COPY"
    )


def test_a_user_that_openshift_makes_up_has_a_home_to_write_to() -> None:
    assert {"HOME=/home/mics", "USER=mics"} <= set(of("ENV")[0].split())
    assert "chgrp 0 /home/mics /data && chmod g=u /home/mics /data" in re.sub(r"\s+", " ", of("RUN")[0])


def test_no_secret_and_no_host_is_written_down() -> None:
    text = FILE.read_text()
    assert not re.search(r"https?://(?!127\.0\.0\.1[:/])", text)
    assert not any(looks_like_key(word) for word in text.split())
    names = re.findall(r"\b([A-Z][A-Z0-9_]+)=", " ".join(of("ENV") + of("ARG")))
    assert names
    assert not [name for name in names if re.search("KEY|TOKEN|SECRET|PASSWORD", name)]


def test_the_project_lies_where_the_clusters_look_for_it() -> None:
    assert of("WORKDIR") == [pods.CODE] == [vm_file.CODE]
    assert f"PATH={pods.CODE}/.venv/bin:" in of("ENV")[0]
    assert vm_file.TOKEN.startswith("/home/mics/")
