"""Whether failures are results, or only show that there is nobody to ask."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from relkit.domain.errors import BackendUnavailable
from relkit.domain.utterances import Failure, FailureReason, Prediction

UNREACHABLE_IN_A_ROW = 10
"""After so many predictions that found nobody, the run ends instead of counting on."""

LOST_IN_A_ROW = 20
"""After so many workers lost without an outcome in between, the run ends."""

_LOST = (FailureReason.CRASHED, FailureReason.TIMEOUT)


@dataclass(slots=True)
class HeldBack:
    """Holds predictions back as long as a later run should rather ask them again.

    These are unreachable ones until somebody answers, and lost workers until one has ever answered.
    """

    held: list[Prediction] = field(default_factory=list)
    heard: bool = False

    def released(self, prediction: Prediction, *, lost: int) -> Iterator[Prediction]:
        """Yield what is certain to be a result; ``lost`` is how many workers were lost in a row.

        Raises BackendUnavailable once there is no hope.
        """
        reason = prediction.outcome.reason if isinstance(prediction.outcome, Failure) else None
        unreachable = reason is FailureReason.UNREACHABLE
        if unreachable or (lost and reason in _LOST and not self.heard):
            self.held.append(prediction)
        else:
            self.heard = self.heard or reason not in _LOST
            yield from self._let_go()
            yield prediction
        if lost >= LOST_IN_A_ROW:
            raise BackendUnavailable(
                f"the system crashed or hung {lost} times in a row",
                hint="try one clip by hand; a longer timeout_s may help",
            )
        if unreachable and len(self.held) >= UNREACHABLE_IN_A_ROW:
            raise self._nobody()

    def rest(self) -> Iterator[Prediction]:
        """Yield what is still held; raises BackendUnavailable where nobody was ever reached."""
        if self.held and not self.heard and all(map(_is_unreachable, self.held)):
            raise self._nobody()
        yield from self._let_go()

    def _let_go(self) -> Iterator[Prediction]:
        held, self.held = self.held, []
        yield from held

    def _nobody(self) -> BackendUnavailable:
        count = sum(map(_is_unreachable, self.held))
        return BackendUnavailable(
            f"the endpoint of the system could not be reached for {count} clips in a row",
            hint="check that it runs and that base_url is right, then resume the run",
        )


def _is_unreachable(prediction: Prediction) -> bool:
    outcome = prediction.outcome
    return isinstance(outcome, Failure) and outcome.reason is FailureReason.UNREACHABLE
