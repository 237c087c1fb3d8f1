"""Consent: revoked recordings never reach a system, unknown ones only where that is allowed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from relkit.core.errors import InvalidInput
from relkit.datasets.types import Consent, Utterance

Policy = Literal["optional", "required"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consented:
    """The utterances that may be used, and how many were left out for which reason."""

    utterances: tuple[Utterance, ...]
    revoked: int = 0
    unknown: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for a report where something was left out, else nothing."""
        left_out = self.revoked + self.unknown
        reasons = f"{self.revoked} revoked, {self.unknown} unknown"
        note = f"{left_out} utterances were left out for lack of consent: {reasons}"
        return (note,) if left_out else ()


def consented(utterances: Sequence[Utterance], policy: Policy) -> Consented:
    """Return the utterances that a policy allows: with ``required`` only those granted."""
    forbidden = {Consent.REVOKED, *([Consent.UNKNOWN] if policy == "required" else [])}
    left_out = [item.consent for item in utterances if item.consent in forbidden]
    return Consented(
        utterances=tuple(item for item in utterances if item.consent not in forbidden),
        revoked=left_out.count(Consent.REVOKED),
        unknown=left_out.count(Consent.UNKNOWN),
    )


def require_consent(utterances: Sequence[Utterance], policy: Policy, *, dataset: str) -> Consented:
    """Return the utterances that may reach a system.

    With ``required``, revoked and unknown ones are left out. Otherwise raises InvalidInput where
    one is revoked and the suite did not exclude it, and wherever nothing is left.
    """
    usable = consented(utterances, policy)
    if policy == "optional" and usable.revoked:
        raise InvalidInput(
            f"{usable.revoked} of {len(utterances)} selected utterances of {dataset} have revoked "
            "consent",
            hint="exclude them: where: {consent: [granted, unknown]} in the suite, or consent: "
            "required in dataset.yaml",
        )
    if not usable.utterances:
        raise InvalidInput(
            f"no utterance of {dataset} may be used: {usable.revoked} revoked, "
            f"{usable.unknown} of unknown consent",
            hint="select others, or record the consent that was given in the manifest",
        )
    return usable
