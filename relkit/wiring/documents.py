"""Builds what documents need: templates of relkit's and of the workspace, pages, paper."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relkit.core.config import Workspace
    from relkit.documents.ports import DocumentRenderer


def document_renderer(workspace: "Workspace | None") -> "DocumentRenderer":
    """Return what fills templates and draws pages; without a workspace with relkit's alone."""
    from relkit.adapters.documents import DocumentPages

    return DocumentPages(None if workspace is None else workspace.folder)
