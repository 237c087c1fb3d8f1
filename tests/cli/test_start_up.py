"""What a command imports decides how fast it starts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from relkit.cli.app import COMMANDS

HEAVY = (
    "ctranslate2",
    "duckdb",
    "dvc",
    "faster_whisper",
    "great_expectations",
    "jiwer",
    "mlflow",
    "onnxruntime",
    "pandas",
    "pyarrow",
    "rich",
    "scipy",
    "soundfile",
    "soxr",
    "websockets",
    "whisper_normalizer",
)
SCRIPT = """
import json, sys
from relkit.cli.boundary import run
code = run(json.loads(sys.argv[1]))
sys.stderr.write("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


def modules_of(*arguments: str) -> set[str]:
    """Return the modules that a command line has loaded when it ends; it must end well."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("eval", "--help"),
        ("gate", "--help"),
        ("agent", "demo", "--help"),
        ("rollback", "--help"),
    ],
)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Help costs no more than the command line itself."""
    modules = modules_of(*arguments)
    assert not modules & {*HEAVY, "numpy", "pydantic", "yaml"}


def test_the_list_of_commands_loads_no_command() -> None:
    """Each command's module is loaded when it is called."""
    modules = {f"relkit.cli.{place.split(':')[0]}" for place, _ in COMMANDS.values()}
    assert not modules_of("--help") & modules


def test_score_loads_nothing_heavy(tmp_path: Path) -> None:
    """Scoring ten lines needs neither frames nor databases nor recognisers."""
    for name in ("ref.txt", "hyp.txt"):
        (tmp_path / name).write_text("turn on the light\n", encoding="utf-8")
    modules = modules_of(
        "score", "--ref", str(tmp_path / "ref.txt"), "--hyp", str(tmp_path / "hyp.txt")
    )
    assert not modules & {*HEAVY, "numpy"}


def test_importing_relkit_loads_nothing() -> None:
    """A notebook that imports relkit pays when it uses it."""
    script = "import relkit, sys; print(sorted(m for m in sys.modules if m.startswith('relkit')))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['relkit']"


def test_reading_results_loads_neither_pandas_nor_data_sets(tmp_path: Path) -> None:
    """A report does not pay for the import of pandas, which it does not use."""
    script = """
import sys
import duckdb
from pathlib import Path
from relkit.adapters.results import read_table
path = Path(sys.argv[1])
duckdb.sql(f"COPY (SELECT 'a' AS id, 1 AS hits) TO '{path}'")
assert read_table(path, ["id"]).to_pylist() == [{"id": "a"}]
print(sorted({"pandas", "pyarrow.dataset", "scipy"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "results.parquet"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
