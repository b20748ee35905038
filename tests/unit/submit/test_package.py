"""What travels to a cluster: code and group files; no data, weights, results, environments or secrets."""

import zipfile
from pathlib import Path

import pytest

from mics_ray.errors import RefusedRun
from mics_ray.submit import package
from mics_ray.submit.job import SubmittedJob, describe_job
from mics_ray.submit.package import GROUP_FILES, pack_job

WORDS = ["mentors=paper", "interns=paper", "judge=deepseek", "data.cases=cases.jsonl", "run.dir=runs/x"]


def names(path: Path) -> list[str]:
    return zipfile.ZipFile(path).namelist()


def test_only_code_and_settings_are_packed(tmp_path: Path) -> None:
    packed = names(pack_job(describe_job(WORDS, None, "/v"), tmp_path))
    assert {name.split("/")[0] for name in packed} == {"mics_ray", "train", "eval", "scripts", "conf"}
    assert {Path(name).suffix for name in packed} == {".py", ".yaml"}
    assert {"scripts/generate.py", "conf/generate.yaml", "mics_ray/submit/entry.py"} <= set(packed)


def test_the_embedded_models_go_only_when_the_job_names_them(tmp_path: Path) -> None:
    packed = names(pack_job(describe_job(["experiment=demo"], None, "/v"), tmp_path))
    other = {name for name in packed if Path(name).suffix not in (".py", ".yaml")}
    assert {"/".join(name.split("/")[:3]) for name in other} == {"mics_ray/local/interns", "mics_ray/local/cases"}
    assert "mics_ray/local/cases/cases.jsonl" in other


def test_of_a_folder_of_ones_own_only_group_files_go(tmp_path: Path) -> None:
    own = tmp_path / "own"
    for name in ("judge/mine.yaml", "judge/notes.txt", ".env", "token", "cluster/here.yaml", "cases.jsonl"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text("{model: m, base_url: 'https://m.example/v1', api_key_env: MY_KEY}")
    job = describe_job([*WORDS, "judge=mine"], own, "/v")
    assert "MY_KEY" in job.key_names
    assert [name for name in names(pack_job(job, tmp_path)) if name.startswith(GROUP_FILES)] == [
        f"{GROUP_FILES}/judge/mine.yaml"
    ]


def test_a_key_in_a_group_file_is_refused_even_where_the_job_does_not_use_it(tmp_path: Path) -> None:
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge/other.yaml").write_text("api_key_env: sk-abcdefghijklmnop1234")
    with pytest.raises(RefusedRun, match=r"other\.yaml holds what looks like a key") as refused:
        pack_job(describe_job(WORDS, tmp_path, "/v"), tmp_path)
    assert "abcdefghij" not in str(refused.value)


def test_the_same_code_gives_the_same_package(tmp_path: Path) -> None:
    job = describe_job(WORDS, None, "/v")
    first, again = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    again.mkdir()
    assert pack_job(job, first).name == pack_job(job, again).name


def test_hidden_files_links_and_other_kinds_of_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("conf/a.yaml", "conf/.hidden.yaml", "conf/deep/b.yaml", "conf/key.pem", "scripts/c.py", "runs/d.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "conf/link.yaml").symlink_to(tmp_path / "conf/a.yaml")
    monkeypatch.setattr(package, "ROOT", tmp_path)
    job = SubmittedJob("generate", (), "id", "/o", (), (), ())
    assert sorted(name for name, _ in package.list_contents(job)) == ["conf/a.yaml", "conf/deep/b.yaml", "scripts/c.py"]


def test_another_content_gives_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/a.yaml").write_text("a: 1")
    monkeypatch.setattr(package, "ROOT", tmp_path)
    job = SubmittedJob("generate", (), "id", "/o", (), (), ())
    first = package.package_name(job)
    assert pack_job(job, tmp_path).name == first
    (tmp_path / "conf/a.yaml").write_text("a: 2")
    assert package.package_name(job) != first
