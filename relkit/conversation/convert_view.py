"""What ``relkit events convert`` tells people."""

from collections.abc import Mapping

from relkit.conversation.types import ConvertedEvents
from relkit.core import wording

_SHOWN = 8


def converted_text(converted: ConvertedEvents) -> str:
    """Return what was converted, and what of it is no number, in lines."""
    numbers = (
        (converted.conversations, "conversation"),
        (converted.events, "event"),
        (converted.tool_calls, "tool call"),
    )
    lines = [", ".join(wording.counted(number, noun) for number, noun in numbers)]
    if converted.failures:
        lines.append(f"{wording.counted(converted.failures, 'conversation')} ended in an error")
    if converted.not_measured:
        lines.append(f"not measured, so null: {_listed(converted.not_measured)}")
    if converted.unknown:
        lines.append(f"messages relkit does not know, kept: {_listed(converted.unknown)}")
    return "\n".join(lines)


def _listed(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{name} {wording.count(number)}" for name, number in most[:_SHOWN]]
    more = len(most) - _SHOWN
    return ", ".join(words) + (f" and {wording.counted(more, 'more kind')}" if more > 0 else "")
