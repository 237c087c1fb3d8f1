"""What became of a document, for people."""

from relkit.core.wording import counted, safe
from relkit.documents.types import WrittenDocument


def written_text(document: WrittenDocument) -> str:
    """Return where a document went, and what it has to leave open."""
    lines = [f"{document.path or 'standard output'}  sha256:{document.sha256[:12]}"]
    for title, points in (
        ("not measured", document.not_measured),
        ("not stated", document.not_stated),
    ):
        if points:
            lines += ["", f"{title}: {counted(len(points), 'point')}"]
            lines += [f"  {safe(point)}" for point in points]
    return "\n".join(lines)
