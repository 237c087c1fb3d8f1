"""``python -m benchmarks``: what runs, and what becomes of one that fails."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.__main__ import SMALLEST, run


def test_a_benchmark_that_fails_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next ones run, and what failed is named with its reason."""
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    seen: list[list[str]] = []

    def find(name: str) -> Callable[[], object]:
        def main() -> None:
            seen.append(sys.argv)
            if name == "counts":
                raise SystemExit("the two sides differ")
            if name == "coverage":
                raise ValueError("no numbers")
            if name == "mos_speed":
                raise SystemExit(0)

        return main

    names = ["counts", "coverage", "mos_speed", "structure"]
    failed = run(names, smallest=True, find=find)
    assert failed == {"counts": "the two sides differ", "coverage": "ValueError: no numbers"}
    assert [arguments[0] for arguments in seen] == [f"benchmarks.{name}" for name in names]
    assert seen[0][1:] == list(SMALLEST["counts"])
    assert "== structure" in capsys.readouterr().out


def test_every_benchmark_is_run_with_the_others() -> None:
    """A file with a main that is not on the list would never be run."""
    folder = Path(__file__).resolve().parents[2] / "benchmarks"
    with_main = {
        path.stem if path.name != "__init__.py" else path.parent.name
        for path in (*folder.glob("*.py"), *folder.glob("*/__init__.py"))
        if "\ndef main(" in path.read_text(encoding="utf-8") and path.stem != "__main__"
    }
    assert with_main <= set(SMALLEST)
