"""Weights from a stand-in hub on loopback, asked by the hub's real client over real HTTP."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from mics_ray.config.keys import HUB_TOKENS
from mics_ray.config.schema import Engine, ModelConfig
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.checkpoint import check_checkpoint
from mics_ray.models.engine.hub import fetch_model, fetch_weights, is_hub_id
from mics_ray.runtime.serving.weights import _fetch_copy
from tests.support.hub import COMMIT, Hub
from tests.support.program import ROOT

TINY = ROOT / "mics_ray/local/interns/internvl"
TOKEN = "hf_" + "canary"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(TINY) as server:
        yield server


@pytest.fixture(autouse=True)
def client(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's client of this process: the stand-in's address, a cache of this test's own, no patience."""
    for name in HUB_TOKENS:
        monkeypatch.delenv(name, raising=False)
    ask_at(hub.url, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    return tmp_path / "hub"


def ask_at(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``HF_ENDPOINT`` does for a program, at its import."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_a_model_is_fetched_whole_and_once(hub: Hub, client: Path) -> None:
    folder = fetch_weights("owner/tiny", None)
    assert folder.is_relative_to(client)
    check_checkpoint(str(folder))
    fetch_weights("owner/tiny", COMMIT)
    assert hub.count_gets("model.safetensors") == 1


def test_processes_of_a_node_wait_for_one_download(hub: Hub) -> None:
    hub.held = "model.safetensors"
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(fetch_weights("owner/tiny", None))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert hub.asked_held.wait(30)
    hub.held = None
    hub.release.set()
    for thread in threads:
        thread.join(30)
    assert len(set(found)) == 1
    assert len(found) == 3
    assert hub.count_gets("model.safetensors") == 1


@pytest.mark.parametrize("where", ["HUGGING_FACE_HUB_TOKEN", "file", "mounted"])
def test_the_token_reaches_the_hub_and_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "token").write_text(TOKEN if where == "file" else "")
    if where == "mounted":
        (tmp_path / "HF_TOKEN").write_text(f"{TOKEN}\n")
        monkeypatch.setenv("MICS_SECRETS_DIR", str(tmp_path))
    elif where != "file":
        monkeypatch.setenv(where, TOKEN)
    with Hub(TINY, TOKEN) as gated:
        ask_at(gated.url, monkeypatch)
        config = fetch_model(ModelConfig(model="owner/tiny", engine=Engine.vllm))
        assert gated.tokens == {f"Bearer {TOKEN}"}
    assert Path(config.model).is_dir()
    assert not set(HUB_TOKENS) & set(os.environ)


def test_a_download_for_a_run_takes_the_token_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    entry = ModelConfig(model="owner/tiny", engine=Engine.vllm)
    with Hub(TINY, TOKEN) as gated:
        ask_at(gated.url, monkeypatch)
        assert "gated on the hub" in _fetch_copy(entry, True, None).refusal
        small = _fetch_copy(entry, False, TOKEN)
        assert (small.refusal, Path(small.folder).name, gated.count_gets("model.safetensors")) == ("", COMMIT, 0)
        assert _fetch_copy(entry, True, TOKEN) == small
        assert gated.count_gets("model.safetensors") == 1


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((401, "GatedRepo"), "gated on the hub; ask for access on its page, and set HF_TOKEN to a token that sees it"),
        ((403, "GatedRepo"), "gated on the hub; ask for access on its page, and set HF_TOKEN to a token that sees it"),
        ((404, "RepoNotFound"), "no such folder, and the hub has no such model, or it is private: set HF_TOKEN"),
        ((401, ""), r"the hub does not allow it \(401\): set HF_TOKEN to a token that sees it"),
        ((403, ""), r"the hub does not allow it \(403\): set HF_TOKEN to a token that sees it"),
        ((404, "RevisionNotFound"), "the hub has no revision 'main' of it"),
        ((429, ""), r"the hub asks to be left alone for a while \(429\)"),
        ((500, ""), "the hub answers 500; the same command goes on"),
        ((503, ""), "the hub answers 503; the same command goes on"),
    ],
)
def test_what_the_hub_refuses_is_one_line(hub: Hub, refusal: tuple[int, str], said: str) -> None:
    hub.refusal = refusal
    with pytest.raises(RefusedRun, match=rf"^owner/tiny: {said}") as refused:
        fetch_weights("owner/tiny", None)
    assert "\n" not in str(refused.value)


def test_a_revision_and_a_name_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedRun, match="no revision 'v9' of it; give a branch, a tag or a commit"):
        fetch_weights("owner/tiny", "v9")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(RefusedRun, match=r"or it is private: the token that is set does not see it \(HF_TOKEN\)"):
        fetch_weights("owner/other", None)


def test_a_connection_that_is_cut_goes_on_next_time(hub: Hub) -> None:
    hub.cut = "model.safetensors"
    with pytest.raises(RefusedRun, match="the download broke off; the same command goes on"):
        fetch_weights("owner/tiny", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(RefusedRun, match=r"HF_HUB_OFFLINE is set, and .* does not hold it whole"):
            fetch_weights("owner/tiny", None)
    hub.cut = None
    check_checkpoint(str(fetch_weights("owner/tiny", None)))


def test_without_a_network_what_is_whole_is_taken(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    there = fetch_weights("owner/tiny", None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch_weights("owner/tiny", None) == there
    with pytest.raises(RefusedRun, match=r"HF_HUB_OFFLINE is set, and .* does not hold v2 whole; `mics fetch` where"):
        fetch_weights("owner/tiny", "v2")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    ask_at("http://127.0.0.1:9", monkeypatch)
    assert fetch_weights("owner/tiny", None) == there
    with pytest.raises(RefusedRun, match=r"cannot reach http://127\.0\.0\.1:9, and .* does not hold it whole"):
        fetch_weights("owner/more", None)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, r"is full; HF_HOME names another \(No space left on device\)"),
        (errno.EDQUOT, r"is full; HF_HOME names another \(Disk quota exceeded\)"),
        (errno.EROFS, r"cannot be written to; see HF_HOME \(Read-only file system\)"),
        (errno.EACCES, r"cannot be written to; see HF_HOME \(Permission denied\)"),
    ],
)
def test_a_disk_that_takes_nothing_is_named(
    client: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    def refuse(path: str, *_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr("huggingface_hub.file_download.http_get", refuse)
    with pytest.raises(RefusedRun, match=f"^owner/tiny: {client} {said}"):
        fetch_weights("owner/tiny", None)


def test_a_token_does_not_travel_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    ask_at("http://hub.example", monkeypatch)
    with pytest.raises(RefusedRun, match="HF_ENDPOINT: plain http would show HF_TOKEN to the network"):
        fetch_weights("owner/tiny", None)


@pytest.mark.parametrize(
    ("model", "hub_id"),
    [("owner/name", True), ("name", True), ("a/b/c", False), ("/a/b", False), ("./a", False), (str(TINY), False),
     ("embedded:staff", False)],
)  # fmt: skip
def test_what_is_an_id_of_the_hub(model: str, hub_id: bool) -> None:
    assert is_hub_id(model) is hub_id


def program(hub: Hub, home: Path, **models: str) -> dict[str, Any]:
    """How `subprocess` runs `mics fetch` for entries of these models, each at `main`."""
    group = home.with_name("conf") / "interns/test.yaml"
    group.parent.mkdir(parents=True, exist_ok=True)
    group.write_text("".join(f"{name}: {{engine: vllm, model: {model}}}\n" for name, model in models.items()))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return {
        "args": [sys.executable, str(ROOT / "scripts/fetch.py"), "--config-dir", str(group.parents[1]), "interns=test"],
        "env": kept | {"HF_ENDPOINT": hub.url, "HF_HOME": str(home)},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
    }


@pytest.mark.heavy
def test_mics_fetch_says_what_is_whole_and_where(hub: Hub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = program(hub, home, tiny="owner/tiny", gone="owner/gone")
    done = subprocess.run(**{**made, "env": made["env"] | {"HF_TOKEN": TOKEN}}, check=False)
    assert done.returncode == 78, done.stdout
    assert f"tiny: whole, in {home}/hub/models--owner--tiny/snapshots/{COMMIT}" in done.stdout
    assert "gone: owner/gone: no such folder, and the hub has no such model, or it is private: the tok" in done.stdout
    assert done.stdout.splitlines()[-1] == "refused: 1 of 2 models are not whole on this machine"
    assert TOKEN not in done.stdout
    assert f"Bearer {TOKEN}" in hub.tokens


@pytest.mark.heavy
def test_a_killed_fetch_leaves_nothing_that_is_believed(hub: Hub, tmp_path: Path) -> None:
    hub.held = "model.safetensors"
    made = program(hub, tmp_path / "home", tiny="owner/tiny")
    offline = {**made, "env": made["env"] | {"HF_HUB_OFFLINE": "1"}}
    with subprocess.Popen(**made) as fetching:
        assert hub.asked_held.wait(60)
        fetching.kill()
        assert fetching.wait() == -signal.SIGKILL
    hub.held = None
    hub.release.set()
    partly = subprocess.run(**offline, check=False)
    assert (partly.returncode, "does not hold it whole" in partly.stdout) == (78, True), partly.stdout
    whole = subprocess.run(**made, check=False)
    assert whole.returncode == 0, whole.stdout
