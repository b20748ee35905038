"""From a command line to a configuration: what composes, and that every error is a refusal with the nearest name."""

import json
import subprocess
import sys
from pathlib import Path

import omegaconf
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

from mics_ray.config import schema
from mics_ray.config.compose import (
    compose_config,
    dump_yaml,
    list_choices,
    list_groups,
    looks_like_key,
    redact,
    suggest_nearest,
    suggest_variable,
)
from mics_ray.config.schema import Config, Engine
from mics_ray.errors import EXIT_REFUSED, EXIT_USAGE, RefusedRun

REPO = Path(__file__).parents[3]
DEMO = "experiment=demo"
KEY = "sk-" + "proj-abcdefABCDEF0123456789abcdef"
"""Looks like a key and is none."""
MENTOR = "model: m, base_url: 'https://example.org/v1'"


def folder(root: Path, **files: str) -> Path:
    """A --config-dir of the user's; ``mentors__mine`` is mentors/mine.yaml."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def refusal(*overrides: str, config_dir: Path | None = None) -> str:
    with pytest.raises(RefusedRun) as caught:
        compose_config(overrides, config_dir)
    assert caught.value.code == EXIT_REFUSED
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_demo_composes_and_overrides_win() -> None:
    config = compose_config([DEMO, "data.cases=/x/c.jsonl", "data.image_root=/x", "run.dir=/y", "seed=5", "window=3"])
    assert isinstance(config, Config)
    assert (config.data.cases, config.data.image_root, config.run.dir) == ("/x/c.jsonl", "/x", "/y")
    assert (config.seed, config.window) == (5, 3)
    plain = compose_config([DEMO])
    assert plain.data.cases == "embedded:cases/cases.jsonl"
    assert plain.run.dir == "runs/demo"
    assert set(plain.mentors) == {"simulated_attending", "simulated_resident", "simulated_student"}


def test_groups_of_the_demo_can_be_replaced(tmp_path: Path) -> None:
    mine = folder(tmp_path, judge__mine=f"{{{MENTOR}}}")
    config = compose_config([DEMO, "search=reference", "judge=mine"], mine)
    assert config.judge.model == "m"
    assert config.search.max_rounds == 3


def test_the_users_own_folder_composes(tmp_path: Path) -> None:
    """The blocks of issue 2, word for word but for the address."""
    mine = folder(
        tmp_path / "of mine, (with) = odd 'name'",
        mentors__mine="""
gpt_4o: {model: chatgpt-4o-latest, base_url: "https://api.openai.com/v1", api_key_env: OPENAI_API_KEY,
         requests_per_minute: 500, tokens_per_minute: 300000, max_in_flight: 64, deadline_s: 300, temperature: 1.2,
         max_tokens: 4096, price: {input_per_mtok: 2.5, output_per_mtok: 10.0}}
other: {model: o, base_url: "http://127.0.0.1:8000/v1"}
""",
        judge__mine="{model: j, base_url: 'https://example.org/v1', api_key_env: JUDGE_KEY}",
        interns__mine="""
qwen25_vl_7b: {engine: vllm, model: Qwen/Qwen2.5-VL-7B-Instruct, revision: 0123456789012345678901234567890123456789,
               replicas: 2, tensor_parallel: 1, max_model_len: 16384, engine_kwargs: {dtype: bfloat16},
               processor_kwargs: {min_pixels: 200704, max_pixels: 1003520}}
elsewhere: {engine: endpoint, model: e, base_url: "https://example.org/v1", api_key_env: SOME_KEY, max_in_flight: 256}
plain: {model: p}
""",
        prompts__mine="{mentor_system: s, mentor: 'm {question}', intern: 'i {prefix}', judge: 'j {candidate}'}",
    )
    choice = ["mentors=mine", "interns=mine", "judge=mine", "prompts=mine", "data.cases=c.jsonl", "run.dir=r"]
    config = compose_config(choice, mine)
    gpt = config.mentors["gpt_4o"]
    assert (gpt.requests_per_minute, gpt.price.output_per_mtok, gpt.api_key_env) == (500, 10.0, "OPENAI_API_KEY")
    other = config.mentors["other"]
    assert (other.requests_per_minute, other.tokens_per_minute, other.max_in_flight) == (None, None, None)
    assert (other.api_key_env, other.temperature) == (None, None)
    assert config.judge.api_key_env == "JUDGE_KEY"
    assert config.interns["qwen25_vl_7b"].processor_kwargs == {"min_pixels": 200704, "max_pixels": 1003520}
    assert config.interns["qwen25_vl_7b"].revision == "0123456789012345678901234567890123456789"
    assert config.interns["elsewhere"].engine is Engine.endpoint
    assert (config.interns["elsewhere"].max_tokens, config.interns["qwen25_vl_7b"].max_tokens) == (2048, 2048)
    assert (other.engine, other.max_tokens, config.judge.engine) == (Engine.endpoint, 4096, Engine.endpoint)
    assert config.interns["plain"].engine is Engine.vllm
    assert config.prompts.intern == "i {prefix}"
    assert config.search.max_rounds == 4  # search=paper is the default


def test_variables_of_the_environment_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICS_TEST_MODEL", "some-model")
    assert compose_config([DEMO, "judge.model=${oc.env:MICS_TEST_MODEL}"]).judge.model == "some-model"


def test_the_written_configuration_reads_back() -> None:
    written = yaml.safe_load(dump_yaml(compose_config([DEMO])))
    assert written["search"]["strategy"] == "mics"
    assert written["mentors"]["simulated_student"]["base_url"] == "local"
    assert set(list_groups("generate")) - {"experiment"} < set(written)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["mentors=papr"], ["mentors=papr", "'paper'"]),  # named before the groups that are not chosen yet
        (["mentors=papr", "interns=tiny", "judge=local"], ["mentors=papr", "'paper'"]),
        ([DEMO, "search=refrence"], ["search=refrence", "'reference'"]),
        ([DEMO, "judge=nope"], ["judge=nope", "current, deepseek, local"]),
        (["experiment=dmo"], ["experiment=dmo", "'demo'"]),
        (["mentors=local", "interns=tiny"], ["choose judge=NAME", "current, deepseek, local"]),
        ([DEMO, "serach=paper"], ["'serach'", "'search'"]),
        ([DEMO, "seeed=3"], ["'seeed'", "'seed'"]),
        ([DEMO, "search.max_round=3"], ["'search.max_round'", "'max_rounds'"]),
        ([DEMO, "judge.modell=1"], ["'judge.modell'", "'model'"]),
        ([DEMO, "++judge.modell=1"], ["'judge.modell'", "'model'"]),
        ([DEMO, "+search.max_round=1"], ["'search.max_round'", "'max_rounds'"]),
        ([DEMO, "++widnow=1"], ["'widnow'", "'window'"]),
        ([DEMO, "++mentors.simulated_student.pice=1"], ["'mentors.simulated_student.pice'", "'price'"]),
        ([DEMO, "search.max_rounds=many"], ["search.max_rounds", "many", "Integer"]),
        ([DEMO, "seed=1.5"], ["seed", "1.5"]),
        ([DEMO, "window=null"], ["window"]),
        ([DEMO, "window=many"], ["window: Value 'many'"]),
        ([DEMO, "data.cases=${oc.env:MICS_NOT_THERE}"], ["data.cases", "MICS_NOT_THERE"]),
        ([DEMO, "preflight=maybe"], ["preflight", "maybe"]),
        ([DEMO, "search.strategy=mcis"], ["search.strategy", "mics, best_of_n"]),
        ([DEMO, "search.intern_temperatures=[hot]"], ["search.intern_temperatures", "hot"]),
        (["mentors=local", "interns=tiny", "judge=local", "run.dir=r"], ["data.cases is not set", "data.cases="]),
        ([DEMO, "judge.model=${oc.env:MICS_NOT_THERE}"], ["judge.model", "MICS_NOT_THERE"]),
        ([DEMO, "judge.model=${oc.env:HOMEE}"], ["judge.model", "HOMEE", "did you mean 'HOME'"]),
        ([DEMO, "judge.model=${no.such}"], ["judge.model", "no.such"]),
        ([DEMO, "run.dir="], ["run.dir is empty", "run.dir=…"]),
        ([DEMO, 'run.dir="  "'], ["run.dir is empty"]),
        ([DEMO, "data.cases="], ["data.cases is empty"]),
        ([DEMO, "judge.model="], ["judge.model is empty"]),
        ([DEMO, "garbage"], ["'garbage'", "key=value"]),
        ([DEMO, "run.dir=a=b"], ["'run.dir=a=b'"]),
        ([DEMO, "judge=d${oc.env;:HOME}"], ["${…} cannot be read"]),
        ([DEMO, f"judge=deep.{KEY}/ek"], ["a value that looks like a key", "no such file"]),
    ],
)
def test_errors_on_the_command_line(overrides: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    message = refusal(*overrides)
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: {modle: m}", ["mentors/mine.yaml", "'mentors.a.modle'", "'model'"]),
        (f"a: {{{MENTOR}, price: {{input: 3}}}}", ["mentors/mine.yaml", "mentors.a.price.input", "'input_per_mtok'"]),
        (f"a: {{{MENTOR}, max_tokens: many}}", ["mentors/mine.yaml", "mentors.a.max_tokens", "many"]),
        ("a: {base_url: 'https://example.org/v1'}", ["mentors.a.model is not set"]),
        ("a: 3", ["mentors/mine.yaml", "mentors.a"]),
        ("[1, 2]", ["mentors/mine.yaml"]),
        (f"a: {{{MENTOR}}}\nb: [\n", ["not valid YAML", "mine.yaml", "line 3"]),
        ("a:\n\tmodel: m\n", ["not valid YAML", "mine.yaml", "line 2"]),
        ("a: {model: m}\na: {model: n}\n", ["not valid YAML", "mine.yaml", "line 2"]),
        ("\x00", ["not valid YAML", "mine.yaml"]),
        ("a: {model: '${oc.env:MICS_NOT_THERE}'}", ["mentors.a.model", "MICS_NOT_THERE"]),
    ],
)
def test_errors_in_the_users_own_file(tmp_path: Path, text: str, words: list[str]) -> None:
    message = refusal(DEMO, "mentors=mine", config_dir=folder(tmp_path, mentors__mine=text))
    assert [word for word in words if word not in message] == [], message


def test_names_of_the_users_own_folder_are_offered(tmp_path: Path) -> None:
    mine = folder(tmp_path, mentors__hospital=f"a: {{{MENTOR}}}")
    assert "'hospital'" in refusal(DEMO, "mentors=hopsital", config_dir=mine)
    assert list_choices("mentors", mine) == ["current", "hospital", "local", "paper", "served", "tiny"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert "no/such" in refusal(DEMO, config_dir=tmp_path / "no/such")


@pytest.mark.parametrize(
    "override",
    [
        f"judge.model={KEY}",
        f"judge.api_key_env={KEY}",
        "judge.base_url=https://user:secret@example.org/v1",
        f"seed={KEY}",
        f"judge={KEY}",
        f"{KEY}=1",
        f"++{KEY}=1",
        KEY,
        f"judge.model=${{oc.env:{KEY.replace('-', '_')}}}",
    ],
)
def test_key_like_values_are_refused_and_never_shown(override: str) -> None:
    message = refusal(DEMO, override)
    assert "abcdefABCDEF0123456789abcdef" not in message
    assert "secret" not in message


@pytest.mark.parametrize("text", [f"a: {{{MENTOR}, api_key_env: {KEY}}}", f"a: {{{MENTOR}, {KEY}: 1}}"])
def test_keys_in_a_file_are_refused_and_never_shown(tmp_path: Path, text: str) -> None:
    assert "key" in refusal(DEMO, "mentors=mine", config_dir=folder(tmp_path, mentors__mine=text))


def test_a_key_that_comes_from_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert "judge.api_key_env" in refusal(DEMO, "judge.api_key_env=${oc.env:OPENAI_API_KEY}")


@pytest.mark.parametrize(
    "value",
    [KEY, "hf_" + "abcdefghijKLMNOP1234", "AIza" + "SyA1234567890abcdefg", "gsk_" + "abcdefghij0123456789", "aB3" * 12],
)
def test_what_looks_like_a_key(value: str) -> None:
    assert looks_like_key(f"x {value} y")
    assert value not in redact(value)


@pytest.mark.parametrize(
    "value",
    [
        "OPENAI_API_KEY",
        "Qwen/Qwen2.5-VL-7B-Instruct",
        "OpenGVLab/InternVL3-8B-hf",
        "gemini-2.5-pro-preview-05-06",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "0123456789abcdef0123456789abcdef01234567",
        "/data/hospital/cases-2026-11-22.jsonl",
        "ask-about-everything-in-the-picture",
    ],
)
def test_what_does_not_look_like_a_key(value: str) -> None:
    assert not looks_like_key(value)
    assert redact(value) == value


def test_nearest() -> None:
    assert suggest_nearest("papr", ["paper", "local"]) == "; did you mean 'paper'?"
    assert suggest_nearest("zzz", ["paper", "local"]) == "; there is: local, paper"
    assert suggest_nearest("zzz", []) == ""


def test_a_variable_that_is_there_but_empty_is_not_suggested_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICS_TEST_KEY", "")
    assert suggest_variable("MICS_TEST_KEY") == ""
    assert suggest_variable("MICS_TEST_KEYS") == "; did you mean 'MICS_TEST_KEY'?"


def test_hydra_leaves_nothing_behind() -> None:
    compose_config([DEMO])
    refusal("mentors=papr")
    assert not GlobalHydra.instance().is_initialized()


RUN = """
import json, runpy, sys
sys.argv = ["scripts/generate.py", *json.loads(sys.argv[1])]
try:
    runpy.run_path("scripts/generate.py", run_name="__main__")
except SystemExit as end:
    heavy = {"ray", "torch", "vllm", "openai", "pyarrow", "transformers"} & set(sys.modules)
    print(json.dumps({"code": end.code, "heavy": sorted(heavy)}))
"""


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["mentors=papr", "interns=tiny", "judge=local", "data.cases=c", "run.dir=r"], EXIT_REFUSED, "'paper'"),
        (["--confg-dir", "x"], EXIT_USAGE, "--confg-dir"),
    ],
)
def test_the_program_refuses_before_it_loads_ray(arguments: list[str], code: int, word: str) -> None:
    """That it does so within 2 s follows: these imports are what takes long."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(arguments)],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert json.loads(done.stdout) == {"code": code, "heavy": []}, done.stderr
    assert word in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "odd", ["interns.x" + "9" * 5000 + "=1", "run.dir=a\0", "seed\udcff=1", "++a" + ".b" * 3000 + "=1"]
)
def test_whatever_hydra_raises_is_a_refusal(odd: str) -> None:
    """Names that no file can have, bytes of a command line that are no text, nesting without end."""
    refusal(DEMO, "run.dir=runs/x", odd)


def test_what_has_to_be_given_is_marked_as_omegaconf_marks_it() -> None:
    assert schema.MISSING == omegaconf.MISSING
