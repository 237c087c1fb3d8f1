"""What the workflows need from the outside, as narrow Protocols."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from relkit.evaluation.ports import ReportRenderer

if TYPE_CHECKING:
    from relkit.report.types import Page, SharedDocument


class Renderer(ReportRenderer, Protocol):
    """Turns a report and its baseline into one document for a browser, too."""

    def report_html(self, page: "Page") -> str:
        """Return one HTML document that needs nothing but a browser."""

    def shared_html(self, documents: "Sequence[SharedDocument]") -> str:
        """Return what may leave the team of a run as one HTML document."""
