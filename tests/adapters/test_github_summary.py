"""What a decision looks like on GitHub: inside its limits, and nothing from data is obeyed."""

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from relkit.core.config import Workspace
from relkit.core.wording import command_data, command_property, github_markdown, log_line
from relkit.gate.types import GateDecision, Verdict
from relkit.report.github_view import (
    COMMENT_BYTES,
    MOST_ANNOTATIONS,
    SUMMARY_BYTES,
    annotations,
    comment,
    marker,
    step_summary,
)
from relkit.report.run import publish
from tests.gate_decisions import (
    HOSTILE,
    NASTY,
    blocked,
    decision,
    failing,
    floor,
    in_shadow,
    open_question,
    override,
    part,
    passing,
    result,
    undecided,
)

COMMAND = re.compile(r"::(error|warning|notice) title=([^:,\r\n]*)::([^\r\n]*)")
TAGS = {
    "h2", "h3", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "strong", "code",
    "details", "summary",
}  # fmt: skip
BLOCKED = decision(
    *(failing(slice=f"accent={i:04}") for i in range(4_000)),
    *(undecided(slice=f"noise={i:04}") for i in range(500)),
    *(result(slice=f"plain={i:04}") for i in range(4_000)),
    *(floor(slice=f"channel={i:04}") for i in range(500)),
    verdict=Verdict.FAIL,
)
"""9,000 results, more than any page holds."""


def html(page: str) -> str:
    """Return a page as a Markdown renderer shows it, raw HTML let through."""
    rendered: str = (
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(page)
    )
    return rendered


def tags(page: str) -> set[str]:
    """Return the names of all tags that a page renders to."""
    return set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", html(page)))


def kinds(lines: tuple[str, ...]) -> dict[str, int]:
    """Return how many annotations there are of each kind, all of them well-formed."""
    found = [COMMAND.fullmatch(line) for line in lines]
    assert None not in found
    names = [match.group(1) for match in found if match]
    return {name: names.count(name) for name in sorted(set(names))}


@pytest.mark.parametrize(
    ("page", "limit"), [(step_summary, SUMMARY_BYTES), (comment, COMMENT_BYTES)]
)
def test_a_page_stays_inside_its_limit_and_says_what_it_hides(
    page: Callable[[GateDecision], str], limit: int
) -> None:
    """Blocking findings come first, and every finding is shown or counted."""
    text = page(BLOCKED)
    assert len(text.encode()) <= limit
    assert len(text) > 0.9 * limit
    first = text.index("accent=0000")
    assert "noise=0000" not in text[:first]
    assert "plain=0000" not in text[:first]
    rows = len(re.findall(r"^\| \*\*", text, re.MULTILINE))
    hidden = [int(n.replace(",", "")) for n in re.findall(r"\*\*([\d,]+) more\*\*", text)]
    assert rows + sum(hidden) == len(BLOCKED.results)


def test_a_small_decision_is_shown_whole() -> None:
    """Nothing is hidden where there is room."""
    text = step_summary(blocked(), [override()])
    assert text.startswith("## BLOCKED: 2 of 5 required checks fail; 1 is undecided\n")
    assert "more" not in text.replace("more clusters", "")
    for item in blocked().results:
        assert f"`{item.slice}`" in text
    assert "OVERRIDDEN by rita" in text
    assert text.index("accent=irish") < text.index("noise=babble") < text.index("accent=welsh")
    assert tags(text) <= TAGS


def test_the_comment_begins_with_its_marker() -> None:
    """One per policy, hidden, and no name of a policy can break out of it."""
    first, _, rest = comment(blocked()).partition("\n")
    assert first == marker("asr-promotion")
    assert re.fullmatch(r"<!-- relkit-gate [0-9a-f]{16} -->", first)
    assert rest == step_summary(blocked())
    assert marker("--> owned") != marker("asr")
    assert re.fullmatch(r"<!-- relkit-gate [0-9a-f]{16} -->", marker("--> owned"))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (passing(), {"notice": 2}),
        (blocked(), {"error": 3, "notice": 1, "warning": 1}),
        (open_question(), {"error": 1, "warning": 2}),
        (in_shadow(blocked()), {"notice": 1, "warning": 4}),
        (decision(floor()), {"error": 1, "notice": 1}),
        (BLOCKED, {"error": 10, "notice": 10, "warning": 10}),
    ],
)
def test_annotations_by_kind(shown: GateDecision, expected: dict[str, int]) -> None:
    """What blocks is an error, undecided a warning, advisory a notice; ten of each at most."""
    assert kinds(annotations(shown)) == expected


def test_how_many_annotations_are_hidden_is_said() -> None:
    """The tenth of a kind counts the others; the headline stands first."""
    lines = annotations(BLOCKED)
    errors = [line for line in lines if line.startswith("::error")]
    assert "BLOCKED: 4,000 of 8,500 required checks fail" in errors[0]
    shown = MOST_ANNOTATIONS - 2
    assert errors[-1].endswith(
        f"::{4_000 - shown} more are not shown here: they are in the step summary"
    )


@settings(max_examples=80, deadline=None)
@given(NASTY, NASTY)
def test_no_name_is_a_command(one: str, two: str) -> None:
    """The number of commands never depends on data, and each is one whole line."""
    shown = decision(
        failing(slice=one, rule=two, reason=two or "x"),
        floor(slice=two),
        verdict=Verdict.FAIL,
        policy=one,
    )
    assert kinds(annotations(shown)) == {"error": 2, "notice": 1}
    for line in (command_data(one), command_property(one), log_line(one)):
        assert "\n" not in line
        assert "\r" not in line
    assert not {":", ","} & set(command_property(one))
    assert "##[" not in log_line(one)
    assert not log_line(one).lstrip().startswith("::")


@settings(max_examples=80, deadline=None)
@given(NASTY, NASTY)
def test_no_name_is_markup(one: str, two: str) -> None:
    """No tag, link, image or row appears, whatever a slice, rule or reason is called."""
    harmless = step_summary(decision(failing(), floor(), verdict=Verdict.FAIL), [override()])
    shown = decision(
        failing(slice=one, rule=two, reason=two or "x"),
        floor(rule=one, slice=two),
        verdict=Verdict.FAIL,
        policy=two,
        parts=(part(dataset=one, baseline_failures=(one,)),),
    )
    page = comment(shown, [override(by=one, reason=two, ticket=one)])
    rest = page.partition("\n")[2]
    assert tags(rest) <= TAGS
    assert html(rest).count("<tr>") == html(harmless).count("<tr>")
    assert html(rest).count("<h2>") == 1
    assert not re.search(r"<(a|img)\b|href=|src=", html(rest))
    seen = re.sub(r"<code>.*?</code>", "", html(rest))  # GitHub looks for no mention in code
    assert not re.search(r"@\w|#\d|\bGH-\d", unescape(seen))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_is_still_readable(text: str) -> None:
    """Escaped text renders to itself, one space for each character that is none."""
    shown = re.sub(r"<[^>]*>", "", html(f"x {github_markdown(text)}"))
    found = unescape(shown).replace("\u200b", "").strip()
    assert found == ("x " + "".join(c if c.isprintable() else " " for c in text)).strip()


def settings_of(folder: Path, **environment: str) -> Workspace:
    """Return the settings of a command that was started with these variables."""
    return Workspace(
        folder=folder,
        name="w",
        datasets=folder,
        suites=folder,
        normalizers=folder,
        gates=folder,
        environment=environment,
    )


def test_what_is_written_where(tmp_path: Path) -> None:
    """Summary and comment go where the runner says, JUnit where the user says."""
    summary, body, junit = (tmp_path / name for name in ("summary", "body", "gate.xml"))
    summary.write_text("# before\n", encoding="utf-8")
    told = settings_of(tmp_path, GITHUB_STEP_SUMMARY=str(summary), RELKIT_GITHUB_COMMENT=str(body))
    assert publish(blocked(), told.environment) == ()
    assert not body.exists()
    lines = publish(blocked(), told.environment, junit=junit, github=True, overrides=[override()])
    assert lines == annotations(blocked(), [override()])
    assert summary.read_text(encoding="utf-8") == "# before\n\n" + step_summary(
        blocked(), [override()]
    )
    assert body.read_text(encoding="utf-8") == comment(blocked(), [override()])
    assert junit.read_bytes().startswith(b"<?xml")
    assert publish(passing(), settings_of(tmp_path).environment, github=True) == annotations(
        passing()
    )


def test_a_summary_that_is_nearly_full_is_not_made_too_long(tmp_path: Path) -> None:
    """GitHub shows nothing of a longer one, so what another command wrote takes its room."""
    summary = tmp_path / "summary"
    told = settings_of(tmp_path, GITHUB_STEP_SUMMARY=str(summary))
    for filled in (SUMMARY_BYTES - 50_000, SUMMARY_BYTES - 10):
        summary.write_text("x" * filled, encoding="utf-8")
        publish(BLOCKED, told.environment, github=True)
        assert filled <= summary.stat().st_size <= SUMMARY_BYTES
