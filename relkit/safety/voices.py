"""Cloned voices: every one that can be heard, and whether its speaker consents today.

The list has to be whole: ``served`` names all voices that the system can speak with, as it does,
and a voice among them that ``voices`` says nothing about has no consent.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from relkit.core.errors import NoData
from relkit.core.values import REQUIRED, Limits, NonEmpty, Shape
from relkit.core.wording import counted
from relkit.datasets.types import Consent
from relkit.safety.imported import ImportedAnswer, ImportedResults
from relkit.safety.types import SafetyCounts

LastDay = Annotated[str, Limits(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceConsent:
    """What is known of a voice: whether it is a person's, and the consent of that person.

    ``until`` is the last day (UTC) on which the consent holds; without one it has no end.
    """

    FILE: ClassVar = Shape(omitted=True)

    cloned: bool = True
    consent: Consent = Consent.UNKNOWN
    until: LastDay | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceList:
    """``voices.yaml``: the voices that are ``served``, and what is known of each by name."""

    schema: Literal["relkit.voices/v1"] = field(default="relkit.voices/v1", metadata=REQUIRED)
    served: Annotated[tuple[NonEmpty, ...], Limits(min_length=1)]
    voices: Mapping[NonEmpty, VoiceConsent] = field(default_factory=dict)


def why_not_consented(voice: VoiceConsent | None, today: str) -> str | None:
    """Return why a cloned voice has no consent on a day, None where it has.

    ``today`` is ``2026-01-31``; days compare as text.
    """
    if voice is None:
        return "not in the list"
    if voice.consent is not Consent.GRANTED:
        return voice.consent.value
    return "expired" if voice.until is not None and voice.until < today else None


def consents(listed: VoiceList, today: str) -> dict[str, str | None]:
    """Return for each cloned voice, by name, why it has no consent on a day, None where it has.

    Voices that are listed and not served count, too: they can be served tomorrow.
    """
    voices = {name: listed.voices.get(name) for name in sorted({*listed.served, *listed.voices})}
    return {
        name: why_not_consented(voice, today)
        for name, voice in voices.items()
        if voice is None or voice.cloned
    }


def reasons_text(reasons: Iterable[str | None]) -> str:
    """Return how many voices lack consent for which reason: ``1 expired, 2 revoked``."""
    counts = Counter(reason for reason in reasons if reason is not None)
    return ", ".join(f"{total} {reason}" for reason, total in sorted(counts.items()))


def imported_voices(listed: VoiceList, today: str) -> ImportedResults:
    """Return the cloned voices as rows of a run, each its own cluster.

    Raises NoData where no voice is a clone.
    """
    reasons = consents(listed, today)
    if not reasons:
        raise NoData("no voice of the list is a clone", hint="nothing has to be consented to")
    told = reasons_text(reasons.values())
    note = f"consent of {counted(len(reasons), 'cloned voice')} as of {today} (UTC)"
    return ImportedResults(
        tool="voices",
        target={},
        scorer="consent",
        created=None,
        cluster="voice",
        prompts=tuple(reasons),
        answers=tuple(
            ImportedAnswer(
                id=name,
                cluster=name,
                slices={"consent": reason or "granted"},
                counts=SafetyCounts(voices=1, consented_voices=int(reason is None)),
            )
            for name, reason in reasons.items()
        ),
        notes=(note, *((f"without consent: {told}",) if told else ())),
    )
