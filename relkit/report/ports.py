"""What the workflows need from the outside, as narrow Protocols."""

from typing import TYPE_CHECKING, Protocol

from relkit.evaluation.ports import ReportRenderer

if TYPE_CHECKING:
    from relkit.report.types import Page


class Renderer(ReportRenderer, Protocol):
    """Turns a report and its baseline into one document for a browser, too."""

    def report_html(self, page: "Page") -> str:
        """Return one HTML document that needs nothing but a browser."""
