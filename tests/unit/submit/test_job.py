"""A submitted job: its id, what it needs, which keys it names; all from the program's own configuration."""

from pathlib import Path

import pytest

from mics_ray.errors import RefusedRun
from mics_ray.submit.config import SlurmConfig, compose_cluster
from mics_ray.submit.job import SubmittedJob, describe_job

PAPER = ["mentors=paper", "interns=paper", "judge=deepseek", "data.cases=cases.jsonl", "run.dir=runs/x"]


def gpus(job: SubmittedJob) -> float:
    """Those of the least number of replicas."""
    return sum(need.replicas * need.gpus * need.stages for need in job.needs)


def test_the_same_run_has_the_same_id_and_another_run_another() -> None:
    job = describe_job(PAPER, None, "/shared")
    assert describe_job(["generate", *PAPER], None, "/shared").submission_id == job.submission_id
    others = [
        describe_job([*PAPER, "seed=1"], None, "/shared"),
        describe_job([*PAPER, "run.dir=runs/y"], None, "/shared"),
        describe_job(PAPER, None, "/elsewhere"),
    ]
    assert len({job.submission_id, *(other.submission_id for other in others)}) == 4


def test_an_absolute_output_is_the_same_wherever_relative_ones_begin() -> None:
    words = [*PAPER, "run.dir=/data/run"]
    assert describe_job(words, None, "/a").submission_id == describe_job(words, None, "/b").submission_id
    assert describe_job(PAPER, None, "/shared").output == "/shared/runs/x"


def test_interns_become_gpus_and_names_of_keys_are_gathered() -> None:
    job = describe_job(
        [*PAPER, "interns.internvl3_8b.tensor_parallel=2", "interns.internvl3_8b.replicas=3"], None, "/v"
    )
    assert gpus(job) == 1 + 1 + 3 * 2
    assert job.key_names == ("DASHSCOPE_API_KEY", "DEEPSEEK_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY")


def test_training_and_evaluation_say_what_they_need() -> None:
    train = describe_job(["train", "train=internvl3_2b", "export.dir=x", "train.dir=y"], None, "/v")
    assert (train.output, gpus(train)) == ("/v/y", 8)
    evaluate = describe_job(["evaluate", "eval=chiron", "judge=deepseek", "model=m", "eval.dir=e"], None, "/v")
    assert (evaluate.output, gpus(evaluate)) == ("/v/e", 1)
    assert evaluate.key_names == ("DEEPSEEK_API_KEY",)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["infer", "model=x"], "no program 'infer'"),
        ([*PAPER, "ray.address=auto"], "ray.address"),
        ([*PAPER, "serch=paper"], "'serch'"),
    ],
)
def test_what_cannot_be_submitted_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(RefusedRun, match=said):
        describe_job(words, None, "/v")


def test_the_cluster_is_composed_by_its_kind_and_a_file_of_ones_own_may_name_it(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster/mine.yaml").write_text("kind: slurm\nnodes: 3\n")
    found = compose_cluster(("cluster=mine", "cluster.dir=/shared/jobs"), tmp_path)
    assert isinstance(found, SlurmConfig)
    assert found.nodes == 3


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("cluster=slrum",), "did you mean 'slurm'"),
        (("cluster=slurm", "cluster.dir=x", "cluster.node=2"), "did you mean 'nodes'"),
        (("cluster=slurm",), "cluster.dir is not set"),
        ((), "choose cluster=NAME"),
    ],
)
def test_a_wrong_cluster_is_refused_with_the_nearest_name(overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(RefusedRun, match=said):
        compose_cluster(overrides, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"kind: [", "not valid YAML"),
        ("kind: slurm # für".encode("latin-1"), "cannot read .*UnicodeDecodeError"),
        (b"nodes: 3", "kind must be one of"),
    ],
)
def test_a_file_of_ones_own_that_names_no_kind_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster/mine.yaml").write_bytes(content)
    with pytest.raises(RefusedRun, match=said):
        compose_cluster(("cluster=mine",), tmp_path)


@pytest.mark.parametrize(("more", "wanted"), [(["train.use_gpu=true", "train.workers=3"], 3), (["train.workers=3"], 0)])
def test_training_with_peft_takes_a_gpu_for_each_process_or_none(more: list[str], wanted: int) -> None:
    job = describe_job(["train", "train=tiny", "export.dir=x", "train.dir=y", *more], None, "/v")
    assert gpus(job) == wanted
    assert job.key_names == ()


def test_a_removal_is_no_program_and_an_address_is_refused_however_it_is_written() -> None:
    assert describe_job(["~interns.qwen2_vl_7b", *PAPER], None, "/v").program == "generate"
    for word in ("ray.address=auto", "+ray.address=auto", "++ray.address=auto"):
        with pytest.raises(RefusedRun, match="is the cluster's to say"):
            describe_job([*PAPER, word], None, "/v")


def test_what_is_embedded_is_named_by_its_path_alone() -> None:
    embedded = ("cases/cases.jsonl", "interns/internvl", "interns/qwen25vl")
    assert describe_job(["experiment=demo"], None, "/v").embedded == embedded
    assert describe_job(PAPER, None, "/v").embedded == ()


def test_the_programs_command_line() -> None:
    job = SubmittedJob("train", ("a=1", "b=2"), "id", "/o", (), (), ())
    assert job.program_arguments(None) == ["a=1", "b=2"]
    assert job.program_arguments("auto", "/conf") == ["--config-dir", "/conf", "a=1", "b=2", "ray.address=auto"]
