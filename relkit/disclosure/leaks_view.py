"""What a scan for leaks found, in words for people."""

from collections.abc import Sequence

from relkit.core import wording
from relkit.disclosure.types import LeakScan

_MOST = 50


def leaks_text(scan: LeakScan, *, names: Sequence[str], too_short: Sequence[str] = ()) -> str:
    """Return every leak by place and encoding, what was not opened, and what was looked for.

    ``too_short`` names secrets that no scan can tell from chance.
    """
    files = wording.counted(scan.scanned, "file")
    lines = [f"{wording.counted(len(scan.hits), 'leak') if scan.hits else 'no leak'} in {files}"]
    if scan.hits:
        rows = [
            [
                wording.safe(hit.path if hit.member is None else f"{hit.path}: {hit.member}"),
                str(hit.offset),
                hit.encoding,
                wording.safe(hit.token, wording.SHORT),
            ]
            for hit in scan.hits[:_MOST]
        ]
        head = ["where", "at", "encoding", "token"]
        lines += ["", wording.columns([head, *rows], to_left=(0, 2, 3))]
    if len(scan.hits) > _MOST:
        lines.append(f"and {wording.count(len(scan.hits) - _MOST)} more; --json has them all")
    if scan.skipped:
        lines += ["", f"{wording.counted(len(scan.skipped), 'part')} not opened: nobody knows"]
        lines += [f"  {wording.safe(text)}" for text in scan.skipped[:_MOST]]
        if len(scan.skipped) > _MOST:
            lines.append(f"  and {wording.count(len(scan.skipped) - _MOST)} more")
    lines += ["", *_named("looked for", names)]
    if too_short:
        lines += _named("too short to be looked for", too_short)
    return "\n".join(lines)


def _named(what: str, names: Sequence[str]) -> list[str]:
    shown = [wording.safe(name, wording.SHORT) for name in names[:_MOST]]
    if len(names) > _MOST:
        shown.append(f"{wording.count(len(names) - _MOST)} more")
    return [f"{what}: {', '.join(shown)}"]
