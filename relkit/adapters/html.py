"""Pages by Jinja2; everything that came from data is escaped for the format it goes into."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from relkit.comparison.rows import align_row, explorer_columns, most_errors_first, token_pairs
from relkit.comparison.types import CompareReport
from relkit.core.charts import histogram, waterfall
from relkit.core.slices import OVERALL
from relkit.core.wording import amount, code, count, interval, markdown, number, safe
from relkit.disclosure.types import Packet
from relkit.evaluation.types import EvalReport, overall, primary_metric, worst_first
from relkit.evaluation.view import answered_words
from relkit.gate.view import WORDS, GateView
from relkit.incident.received.view import PacketView
from relkit.report.conversation_view import ConversationsView
from relkit.report.github_view import shared_headline, shared_slice
from relkit.report.types import Page, SharedDocument
from relkit.report.view import ReportView, compared_view
from relkit.scoring.alignment import confusions

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment


_MOST_METRICS = 3

_PLOTTED = (
    "response_ms",
    "eot_delay_ms",
    "barge_in_stop_ms",
    "first_partial_ms",
    "finalisation_ms",
)
"""Times of turns and streams that a page draws a distribution of."""

_FIRST_ROWS = 20
"""Rows of the explorer that are there without JavaScript."""

# What would end a script element, start markup, or end a line of JavaScript.
_JSON = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}

_NUMBERS: Mapping[str, Callable[..., str]] = {
    "value": lambda estimate: number(estimate.value, estimate.unit),
    "interval": lambda estimate: interval(estimate.low, estimate.high, estimate.unit),
    "percent": lambda value: number(value, "fraction"),
    "points": lambda value: amount(value, "fraction"),
    "ms": lambda value: number(value, "ms"),
    "number": number,
    "thousands": count,
}
"""Filters of every template: a number reads the same on each page."""


class JinjaPages:
    """Implements the ``Renderer`` port with the templates that ship with relkit."""

    def report_markdown(self, report: EvalReport) -> str:
        """Return a report as Markdown: overall, slices worst first, masking, extremes."""
        primary = primary_metric(report)
        slices = [item for item in report.slices if item.slice != OVERALL]
        if primary is not None:
            slices = worst_first(slices, primary)
        names = [name for name in overall(report).metrics if name != primary]
        shown = [*([primary] if primary is not None else []), *names][:_MOST_METRICS]
        environment = _environment(autoescape=False, keep_trailing_newline=True)
        environment.filters |= {"md": markdown, "code": code}  # they escape for Markdown
        return environment.get_template("report.md.j2").render(
            report=report,
            overall=overall(report),
            primary=primary,
            slices=slices if primary is not None else [],
            metrics=shown,
        )

    def report_html(self, page: Page) -> str:
        """Return a run as one HTML document: nothing is fetched, and only our script may run.

        Everything from data is text to the browser: escaped in markup, and in the explorer's JSON
        no character is left that could end it. The policy names our style and script by digest.
        """
        rows = most_errors_first(page.rows)
        aligned = [align_row(row, page.header.suite.segmenter) for row in rows]
        spoken = [
            (row.id, item.edits)
            for row, item in zip(rows, aligned, strict=True)
            if item is not None and row.failure is None
        ]
        clips = page.audio and {
            "type": page.audio.media_type,
            "clips": {k: base64.b64encode(v).decode() for k, v in page.audio.clips.items()},
        }
        style, script = _asset("report.css"), _asset("report.js")
        view = ReportView(page.report, page.baseline)
        return (
            _environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
            .get_template("report.html.j2")
            .render(
                page=page,
                report=page.report,
                header=page.header,
                view=view,
                answered=answered_words(page.report),
                compared=compared_view(page.compared)
                if isinstance(page.compared, CompareReport)
                else page.compared,
                gate=None if page.decision is None else GateView(page.decision, page.overrides),
                first=[
                    (row, item, token_pairs(item) if item else ())
                    for row, item in zip(rows[:_FIRST_ROWS], aligned, strict=False)
                ],
                explorer=embedded_json(explorer_columns(rows, aligned)),
                audio=None if page.audio is None else embedded_json(clips),
                confusions=confusions(spoken) if page.with_text else None,
                latencies=_distributions(page),
                conversations=_conversations(page),
                masking=waterfall([(m.errors_before, m.errors_after) for m in page.report.masking]),
                style=style,
                script=script,
                style_digest=_digest(style),
                script_digest=_digest(script),
            )
        )

    def shared_html(self, documents: Sequence[SharedDocument]) -> str:
        """Return what may leave the team of a run as one HTML document, without a script."""
        environment = _environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        environment.filters |= {"headline": shared_headline, "slice_name": shared_slice}
        style = _asset("report.css")
        return environment.get_template("shared.html.j2").render(
            documents=documents, words=WORDS, style=style, style_digest=_digest(style)
        )


class PacketPages:
    """Draws packets: from the packet alone, so that a receiver can draw the same page again.

    Neither tells of ``page``, which is the digest of what this returns.
    """

    def html(self, packet: Packet) -> str:
        """Return a packet as one HTML document: no script, nothing fetched, data stays text."""
        style = _asset("packet.css")
        environment = _environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        environment.filters["plain"] = safe
        page = environment.get_template("packet.html.j2").render(
            packet=packet, view=PacketView(packet), style=style, style_digest=_digest(style)
        )
        return page.lstrip()

    def markdown(self, packet: Packet) -> str:
        """Return a packet as Markdown; data stays text."""
        environment = _environment(autoescape=False, keep_trailing_newline=True)
        environment.filters |= {"md": markdown, "code": code}
        view = PacketView(packet)
        return environment.get_template("packet.md.j2").render(packet=packet, view=view)


def _asset(name: str) -> str:
    return files("relkit").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the source expression of an inline style or script (Content Security Policy 3)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def embedded_json(document: object) -> str:
    """Return JSON that can stand inside a script element whatever text it holds."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_JSON)


def _conversations(page: Page) -> ConversationsView | None:
    if page.conversations is None or page.report.conversations is None:
        return None
    return ConversationsView(
        page.report,
        page.conversations,
        budget=page.header.suite.budget,
        with_text=page.with_text,
    )


def _distributions(page: Page) -> list[dict[str, object]]:
    """Return a histogram per kind of time that the run has."""
    kinds = {
        "latency_ms": [row.latency_ms for row in page.rows],
        "first_byte_ms": [row.first_byte_ms for row in page.rows],
        **{
            name: [row.measures.get(name) for row in page.rows]
            for name in ("first_audio_ms", *_PLOTTED)
        },
    }
    plots = (
        (name, histogram(value for value in values if value is not None))
        for name, values in kinds.items()
    )
    return [{"name": name, "plot": plot} for name, plot in plots if plot is not None]


def _environment(*, autoescape: bool, **options: bool) -> "ImmutableSandboxedEnvironment":
    from jinja2 import PackageLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=PackageLoader("relkit", "templates"),
        undefined=StrictUndefined,
        autoescape=autoescape,
        **options,
    )
    environment.filters |= _NUMBERS
    return environment
