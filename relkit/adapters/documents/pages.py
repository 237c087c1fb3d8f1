"""Pages of documents for the screen by markdown-it, and for paper by WeasyPrint."""

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from relkit._version import with_extra
from relkit.adapters.documents.sandbox import filled_in
from relkit.core import wording
from relkit.core.errors import MissingDependency

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token


class DocumentPages:
    """Implements the ``DocumentRenderer`` port for a workspace, or for none."""

    def __init__(self, workspace: Path | None) -> None:
        """Take the folder of the workspace, whose own templates come first."""
        self._workspace = workspace

    def markdown(self, template: str, values: Mapping[str, object]) -> str:
        """Return a template of relkit's, or the workspace's own of that name, filled in.

        Everything printed is text to Markdown without a filter for it. Raises InvalidInput with
        file and line for an error of the template, or a name that it does not know.
        """
        return filled_in(self._workspace, template, values)

    def html(self, markdown: str, *, title: str) -> str:
        """Return a document as one HTML page: no script, nothing fetched, no markup of values.

        Front matter is for machines and left out.
        """
        body = _markdown_it().render(_FRONT_MATTER.sub("", markdown))
        style = files("relkit").joinpath("templates", "document.css").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'"
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta http-equiv="Content-Security-Policy" content="'
            f"{policy}; base-uri 'none'; form-action 'none'\">\n"
            '<meta name="referrer" content="no-referrer">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{html.escape(wording.flat(title))}</title>\n"
            f"<style>{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
        )

    def pdf(self, html: str) -> bytes:
        """Return a page for paper: the same page gives the same bytes on one machine.

        Raises MissingDependency where WeasyPrint, or the Pango it needs, is not there.
        """
        weasyprint = _weasyprint()
        identifier = hashlib.sha256(html.encode()).digest()[:16]
        nothing = weasyprint.urls.URLFetcher(allowed_protocols=())
        page = weasyprint.HTML(string=html, url_fetcher=nothing)
        data: bytes = page.write_pdf(pdf_identifier=identifier)
        return data


def _weasyprint() -> Any:  # noqa: ANN401 - it has no types
    import logging

    for name in ("weasyprint", "fontTools"):  # they speak of CSS and fonts on standard error
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()):  # where it prints a banner without Pango
            import weasyprint
    except (ImportError, OSError) as error:
        raise MissingDependency(
            "PDF needs the package weasyprint, and Pango of the system",
            hint=f"{with_extra('pdf')}, and install Pango (apt install libpango-1.0-0 "
            "libpangoft2-1.0-0, or brew install pango); or print the HTML page from a browser",
        ) from error
    return weasyprint


_FRONT_MATTER = re.compile(r"\A---\n(?:.*\n)*?---\n")
_BOXES = {"[ ] ": "\N{BALLOT BOX} ", "[x] ": "\N{BALLOT BOX WITH CHECK} "}


def _allowed_link(url: str) -> bool:
    return url.startswith("#") or urlsplit(url).scheme in {"http", "https", "mailto"}


def _markdown_it() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # a document in Markdown needs no parser of it

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.validateLink = _allowed_link  # type: ignore[method-assign]
    parser.core.ruler.push("pages", lambda state: _for_pages(state.tokens))
    parser.add_render_rule("image", _image_text)
    parser.add_render_rule("text", _plain)
    parser.add_render_rule("code_inline", _code)
    parser.add_render_rule("table_open", lambda *_: '<div class="wide"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser


def _image_text(_: object, tokens: Sequence["Token"], index: int, *__: object) -> str:
    """Return the text of an image in its place: a page fetches nothing."""
    return html.escape(tokens[index].content)


def _plain(_: object, tokens: Sequence["Token"], index: int, *__: object) -> str:
    return _breakable(_UNIT.sub("\N{NO-BREAK SPACE}", tokens[index].content))


def _code(_: object, tokens: Sequence["Token"], index: int, *__: object) -> str:
    return f"<code>{_breakable(tokens[index].content)}</code>"


_LONG_WORD = re.compile(r"\S{21,}")
_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|points)(?!\w))")
_PIECE = re.compile(r"[^,=/:;_.-]{1,16}[,=/:;_.-]?|[,=/:;_.-]")


def _breakable(text: str) -> str:
    """Return text as HTML whose long words, such as digests, fit a narrow column of a table."""
    parts, end = [], 0
    for word in _LONG_WORD.finditer(text):
        parts += [html.escape(text[end : word.start()])]
        parts += ["<wbr>".join(map(html.escape, _PIECE.findall(word[0])))]
        end = word.end()
    return "".join([*parts, html.escape(text[end:])])


def _for_pages(tokens: Sequence["Token"]) -> None:
    """Name headings for links, draw boxes to tick, and align cells by class, not by style."""
    names: dict[str, int] = {}
    for i, token in enumerate(tokens):
        style = token.attrs.pop("style", None)
        if style is not None:
            token.attrSet("class", str(style).removeprefix("text-align:"))
        if token.type == "heading_open":
            slug = re.sub(r"[^a-z0-9]+", "-", tokens[i + 1].content.lower()).strip("-") or "part"
            names[slug] = names.get(slug, 0) + 1
            token.attrSet("id", slug if names[slug] == 1 else f"{slug}-{names[slug]}")
        if i > 1 and token.type == "inline" and tokens[i - 2].type == "list_item_open":
            box = _BOXES.get(token.content[:4])
            if box and token.children and token.children[0].type == "text":
                token.children[0].content = box + token.children[0].content[4:]
                tokens[i - 2].attrSet("class", "box")
