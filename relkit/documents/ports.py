"""What documents need from outside: a template engine, and pages for the screen and for paper."""

from collections.abc import Mapping
from typing import Protocol


class DocumentRenderer(Protocol):
    """Fills templates and lays out what they give; the same values give the same bytes."""

    def markdown(self, template: str, values: Mapping[str, object]) -> str:
        """Return a template of relkit's, or the workspace's own of that name, filled in.

        Values are data, never templates; whatever they hold stays text in the document. Raises
        InvalidInput with file and line for an error of the template, or a name it does not know.
        """
        ...

    def html(self, markdown: str, *, title: str) -> str:
        """Return a document as one HTML page: no script, nothing fetched, no markup of values."""
        ...

    def pdf(self, html: str) -> bytes:
        """Return a page for paper; raises MissingDependency where nothing can draw it."""
        ...
