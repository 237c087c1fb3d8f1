"""The Markdown report: a golden page, and names that stay names.

The golden page is written anew, to be looked at in the diff, by
``RELKIT_REGENERATE_GOLDEN=1 pytest tests/adapters/test_jinja_pages.py``.
"""

import os
import re
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from relkit.adapters.html import JinjaPages
from relkit.core.values import Estimate, Named, SystemId
from relkit.core.wording import code, markdown
from relkit.evaluation.types import EvalReport, Hallucinations, Runaways
from relkit.scoring.types import MaskingStep
from tests.builders import DIGEST, empty_report, estimate, report, slice_result, version

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "report.md"

HOSTILE = (
    "a|b",
    "`code`",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "](javascript:alert(1))",
    "[click](https://evil.example)",
    "![image](https://evil.example/x.png)",
    "https://evil.example/x",
    "me@evil.example",
    "www.evil.example",
    "line\n\n# heading",
    "line\r\n| a | b |",
    "x\u2028y\x85z\x0b",
    "\u202egpj.exe",
    "\x1b[31mred",
    "**bold** _it_ ~~no~~ $x$ {{ 7 * 7 }} {% raw %}",
    "&lt;b&gt; &amp; &#124;",
    "\\|",
    "\\",
    "- item",
    "1. item",
    "    code",
    "---",
    ":---:",
)


def full() -> EvalReport:
    """Return a report with something in every part of the page."""
    timing = {"unit": "ms", "n": 40, "clusters": 12, "method": "woodruff"}
    metrics = {
        "wer": estimate(0.125, n=800, clusters=12),
        "wer_capped": estimate(0.12, n=800, clusters=12),
        "rtf": Estimate(value=0.0456, n=40, clusters=12, unit="ratio", note="no interval"),
        "latency_ms.p95": estimate(812.4, **timing),
        "entity_error_rate": Estimate(value=None, note="no entity in the data"),
    }
    few = {
        "wer": Estimate(value=0.5, n=10, clusters=2, note="fewer than 5 clusters"),
        "wer_capped": Estimate(value=0.4, n=10, clusters=2, note="fewer than 5 clusters"),
    }
    rest = {name: metrics[name] for name in ("rtf", "latency_ms.p95", "entity_error_rate")}
    return report(
        slice_result("overall", metrics, utterances=40, clusters=12, failures=1),
        slice_result("accent=plain", metrics, utterances=30, clusters=10),
        slice_result("accent=broad", few | rest, utterances=10, clusters=2, failures=1),
        slice_result("accent=(none)", {**metrics, "wer_capped": Estimate(value=None)}),
        suite=Named(name="demo", digest=DIGEST),
        dataset=version(utterances=44, dirty=True),
        expected=44,
        scored=40,
        failures=1,
        unusable=4,
        masking=(
            MaskingStep(step="lowercase", errors_before=120, errors_after=101),
            MaskingStep(step="numbers", errors_before=101, errors_after=104),
        ),
        runaways=Runaways(count=0, loops=1, hidden_rate=0.088, hidden_wer=1.762),
        hallucinations=Hallucinations(clips=3, with_words=1, words=4, words_per_minute=12.0),
        failure_reasons={"timeout": 1},
        unusable_reasons={"missing": 3, "empty": 1},
        notes=("2 answers came from the cache, with the latency measured then",),
    )


def test_the_report_is_the_golden_page() -> None:
    """Every part of the page, to the letter."""
    page = JinjaPages().report_markdown(full())
    if os.environ.get("RELKIT_REGENERATE_GOLDEN"):
        GOLDEN.write_text(page, encoding="utf-8")
    assert page == GOLDEN.read_text(encoding="utf-8")


def html(page: str) -> str:
    """Return a page as a Markdown renderer shows it, raw HTML let through."""
    rendered: str = (
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(page)
    )
    return rendered


def rows(page: str) -> list[list[str]]:
    """Return the text of every table cell of a page, by row."""
    found = re.findall(r"<tr>(.*?)</tr>", html(page), re.DOTALL)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in found]
    return [[unescape(cell) for cell in row] for row in cells]


def tags(page: str) -> set[str]:
    """Return the names of all tags that a page renders to."""
    return set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", html(page)))


ALLOWED = {"h1", "h2", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "code"}


def test_a_plain_report_renders_to_tables_and_lists() -> None:
    """The golden page is Markdown: every table is one, with equal rows."""
    page = JinjaPages().report_markdown(full())
    assert tags(page) == ALLOWED
    found = rows(page)
    slices = [row[0] for row in found if row[0].startswith("accent=")]
    assert slices == ["accent=broad", "accent=plain", "accent=(none)"]
    assert ["wer", "12.5 %", "6.2 to 25.0 %", "800", "12", "jackknife", ""] in found
    assert ["numbers", "101", "104", "3 added"] in found


def flat(name: str) -> str:
    """Return what a page should show of a name: one line of printable characters."""
    return "".join(char if char.isprintable() else " " for char in name).strip()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text_wherever_it_stands(name: str) -> None:
    """As slice, suite, note, step, reason, method: no tag, no link, no cell, no line of its own."""
    noted = {"wer": estimate(note=name, method=name)}
    item = report(
        slice_result("overall", noted),
        slice_result(name, noted),
        suite=Named(name=name, digest=DIGEST),
        run=name,
        created=name,
        normalizer=Named(name=name, digest=DIGEST),
        tool_version=name,
        scorer=name,
        dataset=version(name=name, revision=name, contract=name, digest=name),
        candidate=SystemId(digest=name, artifact=name),
        masking=(MaskingStep(step=name, errors_before=1, errors_after=0),),
        failure_reasons={name: 1},
        unusable_reasons={name: 1},
        notes=(name,),
    )
    page = JinjaPages().report_markdown(item)
    plain = JinjaPages().report_markdown(
        report(
            slice_result("overall", {"wer": estimate(note="n", method="m")}),
            slice_result("accent=plain", {"wer": estimate(note="n", method="m")}),
            candidate=SystemId(digest=DIGEST, artifact=DIGEST),
            failure_reasons={"timeout": 1},
            unusable_reasons={"missing": 1},
        )
    )
    assert tags(page) == tags(plain)
    assert [len(row) for row in rows(page)] == [len(row) for row in rows(plain)]
    assert page.count("\n") == plain.count("\n")
    assert flat(name) in [cell.strip() for row in rows(page) for cell in row]
    outside_code = re.sub(r"`[^`]*`", "", page)
    assert not re.search(r"www\.|(?<!\\)://|\w@\w", outside_code)  # GitHub makes links of these
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]", page)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=20))
def test_any_text_in_a_cell_is_shown_as_it_is(text: str) -> None:
    """What a reader sees in the cell is the text, and it is one cell."""
    page = f"| x | y |\n|---|---|\n| {markdown(text)} | z |\n"
    (_, cells) = rows(page)
    shown = re.sub(r"\s+", " ", cells[0]).strip()
    assert shown == re.sub(r"\s+", " ", flat(text)).strip()
    assert cells[1] == "z"


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_any_text_in_a_code_span_stays_in_it(text: str) -> None:
    """Nothing inside ends the span or the cell."""
    page = f"| x | y |\n|---|---|\n| `{code('a' + text)}` | z |\n"
    (_, cells) = rows(page)
    assert re.fullmatch(r"<code>.*</code>", cells[0], re.DOTALL)
    assert cells[1] == "z"


def test_a_report_without_measurements_is_still_a_page() -> None:
    """No metric, no slice, no masking, no clip: the page says what there is."""
    page = JinjaPages().report_markdown(empty_report())
    assert "0 of 0 expected" in page
    assert "None" not in page
    assert "worst first" not in page


@pytest.mark.parametrize(
    ("runaways", "words"),
    [
        (Runaways(count=2, loops=1), "Runaways: 2, repetition loops: 1.\n"),
        (
            Runaways(count=0, loops=0, hidden_rate=0.5),
            "Up to 50.0 % of utterances could be runaways that this run did not meet.\n",
        ),
        (
            Runaways(count=0, loops=0, hidden_rate=0.5, hidden_wer=2.0),
            "did not meet; at 200 words each they would add 200.0 points to wer.\n",
        ),
    ],
)
def test_what_could_be_hidden_is_said_as_far_as_it_is_known(runaways: Runaways, words: str) -> None:
    """A rate without a cost is a rate, and one that was seen hides nothing."""
    page = JinjaPages().report_markdown(report(runaways=runaways))
    assert words in page.replace("\n-", "\n\n-")


def test_slices_without_a_metric_of_overall_do_not_break_the_page() -> None:
    """Slices are measured alike; where one was not, its cell is a dash."""
    item = report(
        slice_result("overall", {"wer": estimate(), "cer": estimate()}),
        slice_result("accent=plain", {"wer": estimate()}),
    )
    (row,) = [cells for cells in rows(JinjaPages().report_markdown(item)) if "accent" in cells[0]]
    assert row[4:] == ["25.0 %", "12.5 to 50.0 %", "-", "-", ""]
    item = report(slice_result("overall"), slice_result("accent=plain", {}))
    (row,) = [cells for cells in rows(JinjaPages().report_markdown(item)) if "accent" in cells[0]]
    assert row[4:] == ["-", "-", "not measured"]
