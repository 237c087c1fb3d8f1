"""What ``relkit incident packet`` says it has written."""

from relkit.core.codec import encode
from relkit.core.digests import JsonValue
from relkit.core.wording import counted, safe
from relkit.incident.packets.types import BuiltPacket


def built_document(built: BuiltPacket) -> dict[str, JsonValue]:
    """Return what was written as ``--json`` prints it."""
    return {
        "packet": built.packet,
        "page": built.page,
        "incident": built.incident,
        "window": encode(built.window),
        "cells": built.cells,
        "pooled": list(built.pooled),
        "hidden": built.hidden,
    }


def built_text(built: BuiltPacket) -> str:
    """Return what was written, and what not, for people."""
    again = " (issued before, and the same)" if built.again else ""
    lines = [
        f"{built.stage} packet of {built.incident}, {built.window.from_} to {built.window.to}",
        f"  {built.packet}{again}",
        f"  {built.page}",
        f"  {counted(built.cells, 'cell')} shown",
    ]
    if built.pooled:
        lines.append(f"  some values pooled as (other): {', '.join(built.pooled)}")
    if built.hidden:
        lines.append("  some slices not shown: too few people, or too alike")
    lines.append("  look at it as a receiver: relkit incident show " + built.packet)
    return "\n".join(map(safe, lines))
