"""Colour where it is seen, and progress where there is no terminal."""

import sys

import pytest

from relkit.cli.app import Common
from relkit.cli.output import Color, ProgressLines, progress_bar, show

TEXT = "PASS: all 2 required checks pass\n  FAIL      wer on overall\nPASSED is another word"
COLOURED = (
    "\033[1;32mPASS\033[0m: all 2 required checks pass\n"
    "  \033[1;31mFAIL\033[0m      wer on overall\nPASSED is another word\n"
)


@pytest.mark.parametrize(
    ("color", "terminal", "no_color", "painted"),
    [
        (Color.AUTO, False, "", False),
        (Color.AUTO, True, "", True),
        (Color.AUTO, True, "1", False),
        (Color.ALWAYS, False, "1", True),
        (Color.NEVER, True, "", False),
    ],
)
def test_verdicts_are_in_colour_where_it_is_seen(
    color: Color,
    no_color: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    terminal: bool,
    painted: bool,
) -> None:
    """``--color`` decides, else NO_COLOR (no-color.org), else whether this is a terminal."""
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    show(TEXT, Common(color=color), text=str)
    assert capsys.readouterr().out == (COLOURED if painted else TEXT + "\n")


def test_a_log_gets_a_line_every_thirty_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """What a cache or an earlier run had done before counts for no speed."""
    times = iter([0.0, 1.0, 20.0, 31.0, 40.0, 62.0])
    told = ProgressLines("decoding", lambda: next(times))
    for done in (100, 110, 120, 125, 1100):
        told(done, 1200)
    assert capsys.readouterr().err == (
        "relkit: decoding: 120 of 1,200, about 27.9 minutes left\n"
        "relkit: decoding: 1,100 of 1,200, about 6.2 seconds left\n"
    )


def test_quiet_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """``--quiet`` is about the lines of progress, too."""
    with progress_bar("decoding", quiet=True) as told:
        told(1, 2)
    assert capsys.readouterr().err == ""
