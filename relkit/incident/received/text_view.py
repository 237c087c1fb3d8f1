"""A packet as text for a terminal."""

from collections.abc import Iterator

from relkit.core.wording import columns
from relkit.disclosure.types import Packet
from relkit.incident.received.view import PacketView
from relkit.incident.received.words import time_words


def packet_text(packet: Packet) -> str:
    """Return a packet for a terminal: what, since when, for whom, then every table."""
    view = PacketView(packet)
    return "\n\n".join((*_numbers(view), *_circumstances(view))) + "\n"


def _numbers(view: PacketView) -> Iterator[str]:
    """Yield what, since when, for whom, and the numbers of slices and stages."""
    packet = view.packet
    yield (
        f"{view.headline}\n{packet.incident}: {view.stage.lower()}, made "
        f"{time_words(packet.created)}"
    )
    yield columns([(what.lower(), words) for what, words in view.facts], to_left=(0, 1), indent=2)
    for i, table in enumerate(view.metrics):
        sizes = (view.noun, "turns") if i == 0 else ()
        rows = [
            (
                f"{'>' if line.failing else ' '} {line.slice}",
                *((line.people, line.turns) if sizes else ()),
                line.value + (f" ({line.interval})" if line.interval else ""),
            )
            for line in table.lines
            if i == 0 or line.near
        ]
        if rows:
            yield columns([("  slice", *sizes, table.metric), *rows])
    if view.notes:
        yield "\n".join(view.notes)
    stages = [
        (
            quantity.metric if i == 0 else "",
            f"{'>' if line.failing else ' '} {line.slice}",
            ", ".join(
                f"{name} {value}"
                for name, (value, _, _) in zip(quantity.percentiles, line.cells, strict=True)
            ),
        )
        for quantity in view.percentiles
        for i, line in enumerate(line for line in quantity.lines if line.near)
    ]
    if stages:
        yield columns(stages, to_left=(0, 1, 2))
    if any(not line.near for table in view.metrics[1:] for line in table.lines):
        yield "Other slices of these: --html and --markdown show them."


def _circumstances(view: PacketView) -> Iterator[str]:
    """Yield what monitors said, what was served, what happened, and what to do with it."""
    packet = view.packet
    if view.findings:
        head_of = ("monitor", "policy", "verdict", "at", "slices")
        yield columns([head_of, *view.findings], to_left=(0, 1, 2, 3, 4))
    if view.served:
        served = ("component", "version", "from", "to", "share")
        yield columns([served, *view.served], to_left=(0, 1, 2, 3))
    if packet.rollback is not None:
        target = packet.rollback.target
        went = f"go back to: {target} ({view.target_note})" if target else "no target to go back to"
        refused = [(f"  {version}", why) for version, why in view.refused]
        yield "\n".join([went, *([columns(refused, to_left=(0, 1))] if refused else [])])
    if view.timeline:
        yield columns(view.timeline, to_left=(0, 1, 2))
    yield "impact\n" + columns(view.impact, to_left=(0, 1), indent=2)
    yield "for forms\n" + columns(view.form, to_left=(0, 1), indent=2)
    decided = [(item.result, item.policy, item.at, item.artifact[:12]) for item in view.summaries]
    if decided:
        head_of_them = ("decision", "policy", "verified", "artifact")
        yield columns([head_of_them, *decided], to_left=(0, 1, 2, 3))
    if view.commitments:
        committed = [(kind, digest[:12] + "…") for kind, digest in view.commitments]
        yield columns([("stays at home", "commitment"), *committed], to_left=(0, 1))
    yield "\n".join(view.method)
