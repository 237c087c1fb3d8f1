"""From a filled-in document to its bytes, and to the file that somebody asked for."""

from collections.abc import Callable
from pathlib import Path

from relkit.core import storage
from relkit.core.digests import PREFIX, sha256_bytes
from relkit.documents.ports import DocumentRenderer
from relkit.documents.types import DocumentFormat, WrittenDocument


def document_bytes(
    text: str, format_: DocumentFormat, documents: DocumentRenderer, *, title: str
) -> bytes:
    """Return Markdown in the format that was asked for; raises MissingDependency for pdf."""
    if format_ == "markdown":
        return text.encode()
    page = documents.html(text, title=title)
    return documents.pdf(page) if format_ == "pdf" else page.encode()


def write_document(
    data: bytes,
    out: Path | None,
    shown: Callable[[Path], str],
    *,
    not_measured: tuple[str, ...],
    not_stated: tuple[str, ...],
) -> WrittenDocument:
    """Write a document where there is a file for it, and return what became of it.

    ``shown`` is how a path is called. Raises StorageFailed.
    """
    if out is not None:
        storage.write_bytes(out, data)
    return WrittenDocument(
        path=None if out is None else shown(out),
        sha256=sha256_bytes(data).removeprefix(PREFIX),
        not_measured=not_measured,
        not_stated=not_stated,
    )
