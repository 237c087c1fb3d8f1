"""Drills in words."""

from collections.abc import Sequence

from relkit.core.wording import columns
from relkit.incident.drills.types import Drill, DrillScore, DrillStatus


def drills_text(drills: Sequence[Drill]) -> str:
    """Return a line per drill: what the responder is told, never what it is."""
    return columns([(drill.name, drill.title) for drill in drills], to_left=(0, 1))


def status_text(status: DrillStatus, folder: str) -> str:
    """Return where a drill stands, and the command to look into it with."""
    lines = [f"{status.name}: {status.title}", f"it is {status.now} there, until {status.ends}"]
    lines += [f"  alert  {alert}" for alert in status.alerts]
    if status.handed_in is not None:
        lines.append(f"answered at {status.handed_in}; next: relkit drill score {folder} --key PUB")
    elif status.over:
        lines.append(f"it is over; next: relkit drill answer {folder} --file answer.yaml")
    else:
        more = "" if status.events is None else f" --events {status.events}"
        lines.append(
            f"next: cd {folder} && relkit triage --telemetry {status.telemetry}{more}"
            f" --now {status.now}"
        )
    return "\n".join(lines)


def drill_score_text(score: DrillScore) -> str:
    """Return the points, what was right, the times, and where points went."""
    lines = [f"{score.points} of {score.of} points"]
    right = ("cause", "first_bad", "slice", "target")
    lines.append(
        columns(
            [
                *(
                    (name.replace("_", " "), "right" if getattr(score, name) else "wrong")
                    for name in right
                ),
                ("detected after", _minutes(score.minutes_to_detect)),
                ("mitigated after", _minutes(score.minutes_to_mitigate)),
                (
                    "packet",
                    "none"
                    if score.packet_valid is None
                    else "holds"
                    if score.packet_valid
                    else "does not hold",
                ),
            ]
        )
    )
    return "\n".join([*lines, *(f"- {comment}" for comment in score.comments)])


def _minutes(minutes: float | None) -> str:
    return "-" if minutes is None else f"{minutes:.0f} min"
