"""`mics`: its commands, its help, what a shell is offered."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mics_ray import __version__
from mics_ray.cli import COMMANDS, load_command, main
from mics_ray.completion import list_words
from mics_ray.errors import EXIT_OK, EXIT_REFUSED, EXIT_USAGE

REPO = Path(__file__).parents[2]


def test_every_program_that_people_run_is_a_command() -> None:
    programs = {path.stem for path in (REPO / "scripts").glob("*.py")} - {"fuzz"}
    assert programs == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_has_a_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = load_command(name)
    try:
        code = program(["--help"])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == EXIT_OK
    assert len(capsys.readouterr().out) > 100


def test_the_help_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == EXIT_OK
    lines = capsys.readouterr().out.splitlines()
    for name, (_, line) in COMMANDS.items():
        assert f"  {name:<11}{line}" in lines
    assert main(["--version"]) == EXIT_OK
    assert capsys.readouterr().out == f"mics {__version__}\n"


def test_an_unknown_command_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["genrate", "experiment=demo"]) == EXIT_USAGE
    assert "did you mean 'generate'?" in capsys.readouterr().err
    assert main(["zzzz"]) == EXIT_USAGE
    assert "did you mean" not in capsys.readouterr().err
    assert main([]) == EXIT_USAGE


def test_a_command_gets_the_rest_and_its_code_is_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "experiment=dmo"]) == EXIT_REFUSED
    assert "did you mean 'demo'?" in capsys.readouterr().err


def test_the_help_loads_nothing_else() -> None:
    words = "import sys; from mics_ray.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", words], cwd=REPO, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert loaded & {"mics_ray"}
    assert not loaded & {"ray", "torch", "vllm", "hydra", "omegaconf", "rich", "argcomplete", "pyarrow", "aiohttp"}


def test_the_entry_point_is_the_dispatcher() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"mics": "mics_ray.cli:main"}


@pytest.mark.parametrize(
    ("command", "prefix", "offered"),
    [
        ("generate", "sea", ["search="]),
        ("generate", "search=", ["search=best_of_n", "search=paper", "search=reference"]),
        ("preflight", "mentors=lo", ["mentors=local"]),
        ("generate", "mentors=local,p", ["mentors=local,paper"]),
        ("evaluate", "eval=path", ["eval=path_vqa"]),
        ("generate", "--m", ["--multirun"]),
        ("generate", "seed=", []),
        ("watch", "sea", []),
    ],
)
def test_what_a_shell_is_offered(command: str, prefix: str, offered: list[str]) -> None:
    assert list_words(command, prefix, []) == offered


def test_a_shell_is_offered_the_persons_own_files(tmp_path: Path) -> None:
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "ours.yaml").write_text("")
    assert list_words("generate", "judge=o", ["--config-dir", str(tmp_path)]) == ["judge=ours"]


BASH = """
eval "$({python}/register-python-argcomplete mics)"
mics() {{ {python}/python -m mics_ray.cli "$@"; }}
export -f mics
COMP_WORDS=({words}) COMP_CWORD={last} COMP_LINE="{line}" COMP_POINT={point} COMP_TYPE=9
_python_argcomplete mics
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("line", "words", "offered"),
    [
        ("mics gen", ["mics", "gen"], ["generate"]),
        ("mics generate search=p", ["mics", "generate", "search", "=", "p"], ["paper"]),
    ],
)
def test_bash_itself_completes(line: str, words: list[str], offered: list[str]) -> None:
    """`=` parts words in bash, so what it is given back is only what follows."""
    script = BASH.format(
        python=Path(sys.executable).parent, words=" ".join(words), last=len(words) - 1, line=line, point=len(line)
    )
    done = subprocess.run(["bash", "-c", script], cwd=REPO, capture_output=True, text=True, check=True, timeout=60)
    assert [one.strip() for one in done.stdout.split()] == offered, done.stderr
