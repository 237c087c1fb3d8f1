"""A decision on GitHub: step summary, annotations and pull request comment, inside its limits.

Blocking findings come first, and how many are not shown is said. Everything from data is escaped:
in tables as code or Markdown text that mentions nobody, in workflow commands as the runner asks.
"""

import hashlib
from collections.abc import Iterable, Sequence

from relkit.core.wording import (
    code,
    command_data,
    command_property,
    count,
    counted,
    github_markdown,
)
from relkit.gate.types import GateDecision, JudgedPart, Override, Verdict
from relkit.gate.view import WORDS, GateView, ShownResult
from relkit.monitoring.types import LiveCheck, LiveFinding
from relkit.report.types import SharedDocument, SharedRow

SUMMARY_BYTES = 1 << 20
"""A step's summary may be 1 MiB; a longer one is not shown at all."""

COMMENT_BYTES = 65_536
"""A comment may have 65,536 characters; counted in bytes, which are never fewer."""

MOST_ANNOTATIONS = 10
"""Annotations of each kind that GitHub keeps of a step."""

_LONGEST = 600
"""Characters of a single text from data; an ellipsis stands for the rest."""

_RESERVE = 2_000
"""Bytes kept for headings and for saying how much is hidden."""

_HEAD = (
    "| | check | slice | observed | 95 % interval | allowed | why |\n"
    "|---|---|---|---|---|---|---|\n"
)
_SHARED_HEAD = "| | check | slice | observed | allowed | of |\n|---|---|---|---|---|---|\n"
_FINDING_HEAD = "| | check | slice | why |\n|---|---|---|---|\n"


def step_summary(
    decision: GateDecision, overrides: Sequence[Override] = (), *, limit: int = SUMMARY_BYTES
) -> str:
    """Return the Markdown of a step summary of at most ``limit`` bytes of UTF-8."""
    return _page(GateView(decision, overrides), limit=limit)


def comment(
    decision: GateDecision, overrides: Sequence[Override] = (), *, limit: int = COMMENT_BYTES
) -> str:
    """Return the Markdown of a pull request comment; its first line is :func:`marker`."""
    first = f"{marker(decision.policy.name)}\n"
    return first + _page(GateView(decision, overrides), limit=limit - _size(first))


def marker(policy: str) -> str:
    """Return the hidden line by which a later run finds the comment it has to update.

    The policy's name stands in it as a digest: no name can end the HTML comment.
    """
    digest = hashlib.sha256(policy.encode("utf-8", "backslashreplace")).hexdigest()
    return f"<!-- relkit-gate {digest[:16]} -->"


def annotations(decision: GateDecision, overrides: Sequence[Override] = ()) -> tuple[str, ...]:
    """Return workflow commands, at most ten of each kind; the last says how many are hidden.

    The headline comes first. Where a decision does not enforce, nothing is an error.
    """
    view = GateView(decision, overrides)
    title = f"relkit gate {decision.policy.name}"
    blocks = "warning" if view.shadow else "error"
    kind_of_all = "notice" if view.verdict is Verdict.PASS else blocks
    remarks = [(kind_of_all, title, view.headline)]
    remarks += [("warning", title, warning) for warning in view.warnings]
    remarks += [
        (_kind_of(item, view), f"{item.verdict} {item.name}", f"{item.result.slice}: {item.reason}")
        for item in (*view.blocking, *view.aside)
        if item.result.verdict is not Verdict.PASS
    ]
    return _commands(title, remarks)


def _commands(title: str, remarks: Sequence[tuple[str, str, str]]) -> tuple[str, ...]:
    """Return remarks (kind, title, text) as workflow commands; the last counts the rest."""
    lines: list[str] = []
    for kind in ("error", "warning", "notice"):
        shown = [(name, text) for severity, name, text in remarks if severity == kind]
        if len(shown) > MOST_ANNOTATIONS:
            hidden = len(shown) - MOST_ANNOTATIONS + 1
            more = (title, f"{hidden} more are not shown here: they are in the step summary")
            shown = [*shown[: MOST_ANNOTATIONS - 1], more]
        lines += [
            f"::{kind} title={command_property(_short(name, 120))}::{command_data(_short(text))}"
            for name, text in shown
        ]
    return tuple(lines)


def finding_summary(finding: LiveFinding, *, limit: int = SUMMARY_BYTES) -> str:
    """Return the Markdown of a look at live traffic, of at most ``limit`` bytes of UTF-8."""
    head = (
        f"## {_words(_said(finding))}\n\n{_words(finding.reason)}\n\n"
        f"Policy {_span(finding.policy.name)} ({_span(finding.enforcement)}), {finding.created}.\n"
    )
    room = limit - _size(head) - _RESERVE
    body = []
    for title, blocking in (("What blocks", True), ("The rest", False)):
        checks = [c for c in finding.checks if _blocks(c) is blocking]
        rows = _fitting(
            (
                f"| **{c.verdict}** | {_span(c.name)} | {_span(c.slice)} | {_words(c.reason)} |\n"
                for c in checks
            ),
            room,
        )
        room -= sum(map(_size, rows))
        heading = f"{title} ({count(len(checks))})"
        body.append(_table(heading, rows, len(checks), folded=not blocking, head=_FINDING_HEAD))
    return "".join([head, *body])


def finding_annotations(finding: LiveFinding) -> tuple[str, ...]:
    """Return workflow commands of a look at live traffic, at most ten of each kind."""
    title = f"relkit {finding.kind} {finding.policy.name}"
    blocks = "warning" if finding.enforcement == "shadow" else "error"
    headline = "notice" if finding.gate_verdict == "pass" else blocks
    remarks = [(headline, title, f"{_said(finding)}: {finding.reason}")]
    remarks += [(blocks, c.name, f"{c.slice}: {c.reason}") for c in finding.checks if _blocks(c)]
    return _commands(title, remarks)


def shared_headline(document: SharedDocument) -> str:
    """Return what may be shown of something in one line."""
    return document.title if document.verdict is None else f"{document.title}: {document.verdict}"


def shared_slice(row: SharedRow) -> str:
    """Return the slice of a row, and how many slices without a name it stands for."""
    return row.slice if row.slices == 1 else f"{row.slice}: {counted(row.slices, 'slice')}"


def shared_markdown(document: SharedDocument, *, limit: int = SUMMARY_BYTES) -> str:
    """Return what may be shown of something as Markdown of at most ``limit`` bytes of UTF-8."""
    first = f"{document.marker}\n" if document.marker else ""
    about = "".join(f"\n{_words(line)}\n" for line in document.about)
    head = f"{first}## {_words(shared_headline(document))}\n{about}"
    notes = "".join(f"- {_words(remark)}\n" for remark in document.remarks)
    room = limit - _size(head) - _size(notes) - _RESERVE
    rows = _fitting(map(_shared_row, document.rows), room)
    title = f"Shown ({count(len(document.rows))})"
    table = _table(title, rows, len(document.rows), folded=False, head=_SHARED_HEAD)
    return f"{head}{table}\n{notes}"


def _shared_row(row: SharedRow) -> str:
    mode = f" ({row.mode})" if row.mode else ""
    reason = f" {_span(row.code)}" if row.code else ""
    cells: Iterable[str] = (
        "" if row.verdict is None else f"**{WORDS[row.verdict]}**{mode}{reason}",
        _span(row.name),
        _span(shared_slice(row)),
        _words(row.observed),
        _words(row.allowed),
        _words(row.basis),
    )
    return f"| {' | '.join(cells)} |\n"


def shared_annotations(document: SharedDocument) -> tuple[str, ...]:
    """Return what may be shown of something as workflow commands, at most ten of each kind."""
    blocks = "error" if document.blocks else "notice"
    remarks = [(blocks, document.title, shared_headline(document))]
    remarks += [
        (
            "notice" if row.mode else blocks,
            f"{WORDS[row.verdict]} {row.name}",
            f"{shared_slice(row)}: {row.observed}; allowed {row.allowed}; {row.basis}",
        )
        for row in document.rows
        if row.verdict is not None and row.verdict is not Verdict.PASS
    ]
    return _commands(document.title, remarks)


def _said(finding: LiveFinding) -> str:
    shadow = "SHADOW, would be " if finding.enforcement == "shadow" else ""
    return f"{finding.kind}: {shadow}{finding.verdict.replace('_', ' ')}"


def _blocks(check: LiveCheck) -> bool:
    return check.verdict != "pass" and not check.advisory


def _kind_of(item: ShownResult, view: GateView) -> str:
    if item.mode:
        return "notice"
    undecided = item.result.verdict is Verdict.INCONCLUSIVE
    return "warning" if view.shadow or undecided else "error"


def _page(view: GateView, *, limit: int) -> str:
    """Return the page; rows are taken while they fit, the blocking ones first."""
    head, remarks = _headline(view, limit // 8), _remarks(view, limit // 4)
    room = limit - _size(head) - _size(remarks) - _RESERVE
    body = []
    for title, results, folded in (
        ("What blocks", view.blocking, False),
        ("Does not count towards the verdict", view.aside, False),
        ("Passed", view.passed, True),
    ):
        rows = _fitting(map(_row, results), room)
        body.append(_table(f"{title} ({count(len(results))})", rows, len(results), folded=folded))
        room -= sum(map(_size, rows))
    return "".join([head, *body, remarks])


def _fitting(lines: Iterable[str], room: int) -> list[str]:
    """Return the first lines that fit into ``room`` bytes together."""
    taken: list[str] = []
    for line in lines:
        room -= _size(line)
        if room < 0:
            break
        taken.append(line)
    return taken


def _headline(view: GateView, room: int) -> str:
    decision = view.decision
    counts = (
        f"Policy {_span(decision.policy.name)} ({_span(decision.policy.enforcement)}), decision "
        f"{decision.serial}, {_span(decision.created)} until {_span(decision.expires)}."
    )
    runs = _fitting((_runs(part) for part in decision.parts), room)
    hidden = len(decision.parts) - len(runs)
    more = f"- … and {count(hidden)} more parts\n" if hidden else ""
    gap = "\n" if runs or more else ""
    return f"## {_words(view.headline)}\n\n{counts}\n{gap}{''.join(runs)}{more}"


def _runs(part: JudgedPart) -> str:
    name = f"{_span(part.name)}: " if part.name else ""
    against = f" against {_span(part.baseline.run)}" if part.baseline else ", alone"
    return (
        f"- {name}candidate {_span(part.candidate.run)}{against}, on {_span(part.dataset.name)}\n"
    )


def _remarks(view: GateView, room: int) -> str:
    if not view.remarks:
        return ""
    lines = _fitting((f"- {_words(remark)}\n" for remark in view.remarks), room)
    hidden = len(view.remarks) - len(lines)
    more = f"- … and {count(hidden)} more notes in the decision file\n" if hidden else ""
    return f"\n### Notes\n\n{''.join(lines)}{more}"


def _table(
    title: str, rows: Sequence[str], results: int, *, folded: bool, head: str = _HEAD
) -> str:
    """Return a section's Markdown, with how many of its results it does not show."""
    if not results:
        return ""
    body, hidden = head + "".join(rows) if rows else "", results - len(rows)
    if hidden:
        body += f"\n… and **{count(hidden)} more** are not shown here: see the decision file.\n"
    if folded:
        return f"\n<details><summary>{title}</summary>\n\n{body}\n</details>\n"
    return f"\n### {title}\n\n{body}"


def _row(item: ShownResult) -> str:
    mode = f" ({item.mode})" if item.mode else ""
    cells: Iterable[str] = (
        f"**{item.verdict}**{mode}",
        _span(item.name),
        _span(item.result.slice),
        _words(item.observed),
        _words(item.span),
        _words(item.allowed),
        _words(item.reason),
    )
    return f"| {' | '.join(cells)} |\n"


def _words(text: str) -> str:
    return github_markdown(_short(text))


def _span(text: str) -> str:
    """Return text as a code span; an empty one would be two stray back-ticks."""
    return f"`{code(_short(text)).strip() or ' '}`"


def _short(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
