"""The list of runs, and the names that move with it."""

from dataclasses import replace

import pytest

from relkit.core.errors import UsageError
from relkit.core.values import Estimate
from relkit.evaluation.listing import PAGE_WIDTH, ListedRun, listed, run_at, runs_text, system_words
from relkit.evaluation.types import Command, FasterWhisper, OpenAIHttp, Recorded, RunHeader, System
from tests.builders import header, report

RUNS: dict[str, RunHeader] = {
    name: replace(
        header(name),
        suite=replace(header().suite, name=suite),
        status="finished" if done else "running",
    )
    for name, suite, done in [
        ("f", "demo", False),
        ("e", "demo", True),
        ("d", "other", True),
        ("c", "other", False),
        ("b", "demo", True),
        ("a", "other", True),
    ]
}
"""Newest first: id to header."""


@pytest.mark.parametrize(
    ("text", "finished", "run"),
    [
        ("@latest", True, "e"),
        ("@prev", True, "b"),
        ("@latest:other", True, "d"),
        ("@prev:other", True, "a"),
        ("@latest:demo", True, "e"),
        ("@latest", False, "f"),
        ("@latest:other", False, "c"),
    ],
)
def test_a_moving_name_is_the_newest_or_the_one_before_of_its_suite(
    text: str, run: str, *, finished: bool
) -> None:
    """Interrupted runs count for those who go on with one, and for nobody else."""
    assert run_at(text, RUNS, RUNS.__getitem__, finished=finished) == run


@pytest.mark.parametrize(
    ("text", "finished", "message"),
    [
        ("@prev", False, "no interrupted run of the suite"),
        ("@latest:nope", True, 'no finished run of the suite "nope"'),
        ("@prev:nope", True, 'no finished run of the suite "nope"'),
        ("@last", True, '"@last" names no run'),
        ("@latest:", True, "names no run"),
        ("@", True, "names no run"),
    ],
)
def test_a_moving_name_without_a_run_is_refused(text: str, message: str, *, finished: bool) -> None:
    """Never another run than the one that was meant."""
    with pytest.raises(UsageError) as caught:
        run_at(text, RUNS, RUNS.__getitem__, finished=finished)
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (FasterWhisper(model="tiny.en"), "faster-whisper tiny.en"),
        (
            FasterWhisper(model="tiny.en", beam_size=5, timeout_s=5, language="en"),
            "faster-whisper tiny.en beam_size=5 language=en",
        ),
        (Command(run="python asr.py"), "command python asr.py"),
        (Recorded(path="a.jsonl", artifact=f"sha256:{'0' * 64}"), "recorded a.jsonl"),
        (OpenAIHttp(base_url="http://x/v1", model="m"), "openai-http m base_url=http://x/v1"),
        (
            OpenAIHttp(base_url="http://x/v1", model="m", prompt="Alice"),
            "openai-http m base_url=http://x/v1 prompt=…",
        ),
        (
            FasterWhisper(model="tiny.en", initial_prompt="Alice"),
            "faster-whisper tiny.en initial_prompt=…",
        ),
        (Command(run="asr --token abc"), "command asr --token (hidden)"),
    ],
)
def test_a_system_is_said_by_what_sets_it_apart(system: System, words: str) -> None:
    """Defaults, limits of time and digests are left out."""
    assert system_words(system) == words


def test_the_list_fits_a_terminal_and_keeps_what_matters() -> None:
    """80 columns: a long system is cut, the id and the headline are not; no escape gets through."""
    run = "20260131T120000Z-00000a"
    suite = replace(header().suite, name="demo", system=Command(run="python \x1b[2J" + "x" * 90))
    entry = listed(replace(header(run), suite=suite), report(run=run))
    entry = replace(entry, metric="wer_capped", headline=Estimate(value=0.046))
    text = runs_text(
        [entry, replace(entry, status="unfinished"), ListedRun(run=run, status="unreadable")]
    )
    assert all(len(line) <= PAGE_WIDTH for line in text.splitlines())
    assert f"{run}  demo   wer_capped 4.6 %  command python" in text
    assert "\x1b" not in text
    assert [line.split()[1] for line in text.splitlines()[1:]] == ["demo", "demo", "unreadable"]


def test_without_a_run_the_list_says_how_to_make_one() -> None:
    """An empty table would say nothing."""
    assert runs_text([]) == "no run yet: relkit eval SUITE"
    assert runs_text([], suite="x") == 'no run of the suite "x" yet: relkit eval SUITE'
