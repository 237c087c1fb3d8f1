"""What triage says to people: the verdict first, then what to do, then why."""

import textwrap
from collections.abc import Iterator

from relkit.core.wording import (
    NONE,
    WIDTH,
    columns,
    count,
    counted,
    interval,
    number,
    percent,
    safe,
    times,
)
from relkit.core.yaml_text import shown
from relkit.incident.types import Candidate, TriageReport

_HEADS = {
    "nothing": "NOTHING IS WRONG",
    "release": "RELEASE TO BLAME",
    "not_release": "NO RELEASE IS TO BLAME",
    "undetermined": "CANNOT BE TOLD",
    "no_data": "NO DATA",
}
_MOST_REFUSED = 4
_LONGEST = 48


def triage_text(report: TriageReport) -> str:
    """Return the text for people; whatever came from data cannot steer the terminal."""
    blocks = [
        list(_head(report)),
        list(_facts(report)),
        list(_others(report)),
        list(_read(report)),
    ]
    return "\n\n".join(
        "\n".join(safe(part) for line in lines for part in line.split("\n"))
        for lines in blocks
        if lines
    )


def _head(report: TriageReport) -> Iterator[str]:
    subject = ""
    if report.verdict == "release":
        subject = f": {shown(report.component or '')} {shown(report.first_bad or '')}"
    elif report.cause is not None:
        subject = f": {report.cause}"
    yield f"{_HEADS[report.verdict]}{subject}"
    yield textwrap.fill(shown(report.reason, 500), WIDTH)


def _facts(report: TriageReport) -> Iterator[str]:
    rows: list[tuple[str, str]] = []
    if report.metric is not None:
        rows.append(("what", report.metric))
    if report.slice is not None:
        where = "all traffic" if report.slice == "overall" else shown(report.slice)
        rows.append(("where", where))
    if report.onset is not None:
        rows.append(("began", f"between {report.onset.from_} and {report.onset.to}"))
        rows.append(("ended", report.ended or "it goes on"))
    effect = report.effect
    if effect is not None:
        ratio = None if effect.expected <= 0 else effect.observed / effect.expected
        ends = interval(effect.low, effect.high, "fraction")
        words = (
            f"{number(effect.observed, 'fraction')} ({ends}) of"
            f" {counted(effect.turns, 'turn')}, {number(effect.expected, 'fraction')}"
            f" expected: {times(ratio)}"
        )
        rows.append(("effect", words))
    if report.evidence is not None:
        because = {
            "concurrent": "the version before it served beside it and was well",
            "temporal": "the time of the switch alone: no old version served beside it",
        }
        odds = "" if report.log_odds is None else f" (log odds {report.log_odds:.1f})"
        rows.append(("evidence", because[report.evidence] + odds))
    rows += _ways_out(report)
    if rows:
        yield columns(rows, to_left=(0, 1))


def _ways_out(report: TriageReport) -> Iterator[tuple[str, str]]:
    if report.verdict == "release":
        target = "none" if report.target is None else shown(report.target)
        if report.target is not None and not report.target_verified:
            target += ", unverified: no ledger says that it passed its gate"
        yield ("back to", target)
        others = [refused for refused in report.refused if refused.version != report.first_bad]
        for refused in others[:_MOST_REFUSED]:
            yield ("", f"not {shown(refused.version)}: {shown(refused.reason, 200)}")
    if report.command is not None:
        yield ("run", shown(report.command, 400))
    if report.probe is not None:
        probe = report.probe
        words = (
            f"serve {percent(probe.share)} on {shown(probe.component)} {shown(probe.version)}"
            f" for {counted(probe.minutes, 'minute')}, then run this again"
        )
        yield ("to tell", words)
    if report.packet is not None:
        yield ("to send", shown(report.packet, 200))


def _others(report: TriageReport) -> Iterator[str]:
    if report.ruled_out:
        yield "ruled out"
        excluded = [(str(ruled.cause), shown(ruled.reason, 200)) for ruled in report.ruled_out]
        yield columns(excluded, to_left=(0, 1), indent=2)
    if report.verdict == "undetermined" and report.candidates:
        yield "candidates, and how much better each explains it than the next (log odds)"
        rows = [(_named(c), f"{c.log_odds:+.1f}") for c in report.candidates]
        yield columns(rows, to_left=(0,), indent=2)


def _named(candidate: Candidate) -> str:
    where = "" if candidate.slice in {None, "overall"} else f" on {shown(str(candidate.slice), 40)}"
    if candidate.component is None:
        return f"no release{where}"
    name = f"{candidate.component} {candidate.version or NONE}"
    return f"{shown(name, _LONGEST)}{where}"


def _read(report: TriageReport) -> Iterator[str]:
    read = report.read
    left_out = [
        f"{count(n)} {what}"
        for n, what in (
            (read.late, "late"),
            (read.future, "of the future"),
            (read.duplicates, "sent twice"),
        )
        if n
    ]
    words = f"; left out: {', '.join(left_out)}" if left_out else ""
    yield f"read {counted(read.turns, 'turn')} in {read.seconds:.1f} s{words}"
