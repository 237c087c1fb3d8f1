"""Error counts: the value every error rate is made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCounts:
    """Hits, substitutions, deletions and insertions of one or many utterances; they add up.

    Rates are derived from summed counts and are never averaged (rules.md section 2).
    """

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        """Return the counts of both together."""
        return ErrorCounts(
            hits=self.hits + other.hits,
            substitutions=self.substitutions + other.substitutions,
            deletions=self.deletions + other.deletions,
            insertions=self.insertions + other.insertions,
        )

    @property
    def reference_length(self) -> int:
        """N = H + S + D, the reference tokens."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis_length(self) -> int:
        """M = H + S + I, the hypothesis tokens."""
        return self.hits + self.substitutions + self.insertions

    @property
    def errors(self) -> int:
        """E = S + D + I."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def capped_errors(self) -> int:
        """Errors of one utterance, at most max(1, N), so that a runaway weighs like one loss.

        Meaningful for the counts of a single utterance only.
        """
        return min(self.errors, max(1, self.reference_length))

    @property
    def rate(self) -> float | None:
        """E / N as a fraction; None without a reference token."""
        return self.errors / self.reference_length if self.reference_length else None

    @property
    def match_error_rate(self) -> float | None:
        """MER = E / (H + S + D + I) as a fraction (Morris et al. 2004); None where all are 0."""
        total = self.hits + self.errors
        return self.errors / total if total else None

    @property
    def information_lost(self) -> float | None:
        """WIL = 1 - H^2 / (N M) as a fraction (Morris et al. 2004); None without a reference."""
        if not self.reference_length:
            return None
        if not self.hypothesis_length:
            return 1.0
        return 1.0 - self.hits**2 / (self.reference_length * self.hypothesis_length)
