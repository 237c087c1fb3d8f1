"""Consent of every cloned voice today, as a look that a gate can require.

A list of voices is no sample: nothing is estimated, one voice without consent is one too many.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from relkit.core.codec import encode
from relkit.core.values import Count, Named, Shape, Time
from relkit.core.wording import counted
from relkit.monitoring.types import GateWord, LiveCheck, LiveFinding
from relkit.safety.voices import VoiceList, consents, reasons_text

CONSENT_CHECK = "voice-consent"
"""The check that a gate requires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentReport:
    """How many cloned voices there are, and how many lack consent by reason; no voice is named.

    ``lines`` are the lines of the list with a voice that lacks it.
    """

    FILE: ClassVar = Shape(required=True)

    verdict: Literal["consented", "unconsented"]
    reason: str
    as_of: Time
    voices: Count
    consented: Count
    without: Mapping[str, Count]
    lines: tuple[Count, ...]


def consent_report(listed: VoiceList, lines: Mapping[str, int], *, as_of: str) -> ConsentReport:
    """Return what a list says on the day of ``as_of``.

    ``lines`` maps a voice to the line of its entry, or of its name among the served ones.
    """
    voices = consents(listed, as_of[:10])
    reasons = {name: reason for name, reason in voices.items() if reason is not None}
    whole = counted(len(voices), "cloned voice")
    granted = f"{whole}: consent of each is granted today" if voices else "no voice is a clone"
    return ConsentReport(
        verdict="unconsented" if reasons else "consented",
        reason=f"{len(reasons)} of {whole} without consent today: {reasons_text(voices.values())}"
        if reasons
        else granted,
        as_of=as_of,
        voices=len(voices),
        consented=len(voices) - len(reasons),
        without=dict(sorted(Counter(reasons.values()).items())),
        lines=tuple(sorted(lines[name] for name in reasons if name in lines)),
    )


def consent_text(report: ConsentReport) -> str:
    """Return the look for people."""
    where = ", ".join(map(str, report.lines))
    lines = [f"consent of voices: {report.verdict}", report.reason]
    return "\n".join([*lines, *([f"lines of the list: {where}"] if where else [])])


def consent_finding(report: ConsentReport, digest: str) -> LiveFinding:
    """Return the record of the look; ``digest`` is that of the list."""
    word: GateWord = "fail" if report.without else "pass"
    return LiveFinding(
        kind="consent",
        policy=Named(name=CONSENT_CHECK, digest=digest),
        enforcement="enforce",
        verdict=report.verdict,
        gate_verdict=word,
        reason=report.reason,
        created=report.as_of,
        subject=None,
        checks=(LiveCheck(name=CONSENT_CHECK, verdict=word, reason=report.reason),),
        report=encode(report),
    )
