"""Documents: templates by Jinja2, pages by markdown-it, paper by WeasyPrint.

A template is text that people of a team wrote, and values are what anybody said, so neither is
trusted: a template reads what it was handed and prints it, and what it prints stays text.
"""

import base64
import hashlib
import html
import math
import os
import re
import shlex
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import is_dataclass
from functools import wraps
from importlib.resources import files
from io import StringIO
from pathlib import Path
from types import BuiltinMethodType, MethodType
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateError, nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError, TemplateNotFound, TemplateSyntaxError
from jinja2.filters import FILTERS
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import missing
from markdown_it import MarkdownIt
from markupsafe import Markup

from relkit._version import with_extra
from relkit.core import wording
from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput, Malformed, MissingDependency
from relkit.documents.types import NOT_MEASURED

if TYPE_CHECKING:
    from markdown_it.token import Token

TEMPLATES = Path("runbooks", "templates")
"""Where a workspace has its own templates, relative to it."""

SHIPPED = "relkit/"
"""Before a name: the template of relkit's, also where the workspace has one of that name."""

MAX_TEMPLATE = 1 << 18
"""Bytes of one template."""

MAX_DOCUMENT = 1 << 21
"""Characters of what a template makes, and of any text on the way there."""

MAX_STEPS = 100_000
"""Turns of loops and calls of macros, all together."""

_MAX_NUMBER = 10**18
_SUFFIX = ".md.j2"
_NAME = re.compile(rf"(?:{SHIPPED})?([A-Za-z0-9][A-Za-z0-9_-]{{0,63}}){re.escape(_SUFFIX)}")


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
        environment = _Sandbox(_Templates(self._workspace), values)
        try:
            text = environment.get_template(template + _SUFFIX).render(values)
        except InvalidInput as error:
            if isinstance(error, Malformed):
                raise
            raise _located(environment, error, error.message, error.hint) from error
        except TemplateSyntaxError as error:
            problem = error.message or "no template"
            raise Malformed(
                wording.flat(problem),
                source=error.filename or template,
                line=error.lineno,
                hint=_syntax_hint(problem, environment),
            ) from error
        except TemplateNotFound as error:
            problem = f"no template {wording.safe(str(error.name), wording.SHORT)}"
            names = environment.templates.list_templates()
            hint = f"there are: {', '.join(names)}"
            raise _located(environment, error, problem, hint) from error
        except RecursionError as error:
            raise _located(environment, error, "a macro or template calls itself") from error
        except TemplateError as error:  # undefined names and what the sandbox refuses, in our words
            raise _located(environment, error, wording.flat(error.message or "")) from error
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            problem = "this cannot be worked out"  # the error's own words may quote a value
            raise _located(environment, error, f"{problem} ({type(error).__name__})") from error
        text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"

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


# --- templates


class _Templates(BaseLoader):
    """Finds templates in two folders and nowhere else: the workspace's own come first."""

    def __init__(self, workspace: Path | None) -> None:
        self.workspace = None if workspace is None else workspace.resolve()

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:
        """Return the text of a template and how errors name its file."""
        del environment
        match = _NAME.fullmatch(template)
        if match is None:
            raise TemplateNotFound(template)
        name = match[1] + _SUFFIX
        if self.workspace is not None and not template.startswith(SHIPPED):
            shown = (TEMPLATES / name).as_posix()
            path = self.workspace / TEMPLATES / name
            if os.path.lexists(path):
                return _read(path, self.workspace / TEMPLATES, shown), shown, None
        resource = files("relkit").joinpath("templates", "documents", name)
        if not resource.is_file():
            raise TemplateNotFound(template)
        shown = f"relkit/templates/documents/{name}"
        return resource.read_text(encoding="utf-8"), shown, None

    def list_templates(self) -> list[str]:
        """Return the names that a template can be included by."""
        shipped = files("relkit").joinpath("templates", "documents").iterdir()
        names = {item.name for item in shipped}
        if self.workspace is not None:
            names |= {path.name for path in (self.workspace / TEMPLATES).glob(f"*{_SUFFIX}")}
        return sorted(name for name in names if _NAME.fullmatch(name))


def _read(path: Path, folder: Path, shown: str) -> str:
    """Return a template of the workspace; raises Malformed for what is no file of its folder."""
    if Path(os.path.realpath(path)).parent != folder or not os.path.isfile(path):  # noqa: PTH113 - takes a circle of links
        raise Malformed(
            "no file of this folder", source=shown, hint="templates are files, and no links out"
        )
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEMPLATE + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Malformed("cannot be read", source=shown, hint="save it as UTF-8 text") from error
    if len(data) > MAX_TEMPLATE:
        raise Malformed("larger than 256 KiB", source=shown, hint="split it")
    return text


def _located(
    environment: "_Sandbox", error: Exception, problem: str, hint: str | None = None
) -> InvalidInput:
    """Return an error that names the last line of a template on the way to it."""
    places: list[tuple[str, int | None]] = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename in environment.files
    ]
    if not places and environment.files:
        places = [(environment.files[0], None)]
    if not places:
        return InvalidInput(problem, hint=hint)
    return Malformed(problem, source=places[-1][0], line=places[-1][1], hint=hint)


def _syntax_hint(problem: str, environment: "_Sandbox") -> str:
    match = re.fullmatch(r"No (filter|test) named '(.*)'\.", problem, re.DOTALL)
    if match is None:
        return "docs/runbooks.md, section Your own templates, says what a template may hold"
    names = sorted(environment.filters if match[1] == "filter" else environment.tests)
    return f"there are: {', '.join(name for name in names if name != _COUNTED)}"


# --- what a template may do

_COUNTED = "_counted"

_FILTERS = (
    *("abs", "capitalize", "count", "dictsort", "first", "float", "groupby", "int", "items"),
    *("last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse"),
    *("round", "select", "selectattr", "sort", "sum", "title", "trim", "truncate", "unique"),
    "upper",
)
"""Those of Jinja that make nothing larger and nothing up: ``default`` would hide a typo."""

_TESTS = (
    *("boolean", "divisibleby", "eq", "equalto", "even", "false", "float", "ge", "greaterthan"),
    *("gt", "in", "integer", "iterable", "le", "lessthan", "lower", "lt", "mapping", "ne", "none"),
    *("number", "odd", "sequence", "string", "true", "upper", "==", "!=", ">", ">=", "<", "<="),
)

_TEXT_METHODS = frozenset(
    {"endswith", "lower", "partition", "removeprefix", "removesuffix", "split", "startswith"}
    | {"strip", "title", "upper"}
)
_MAPPING_METHODS = frozenset({"get", "items", "keys", "values"})
_NOT_ALLOWED: Mapping[type[nodes.Node], str] = {
    nodes.ScopedEvalContextModifier: "what is printed is always escaped",
    nodes.EvalContextModifier: "what is printed is always escaped",
}


class _Generator(CodeGenerator):
    """Compiles ``~`` to a join that escapes for Markdown, and slices to what the sandbox sees."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.getitem(")
        self.visit(node.node, frame)
        self.write(", slice(")
        for part in (node.arg.start, node.arg.stop, node.arg.step):
            self.visit(nodes.Const(None) if part is None else part, frame)
            self.write(", ")
        self.write("))")


class _Sandbox(ImmutableSandboxedEnvironment):
    """One rendering: what it may reach, and how much it may do."""

    code_generator_class = _Generator
    intercepted_binops: ClassVar[frozenset[str]] = frozenset({"+", "-", "*", "/", "//", "%", "**"})  # type: ignore[misc]

    def __init__(self, templates: _Templates, values: Mapping[str, object]) -> None:
        super().__init__(
            loader=templates,
            undefined=_unknown(sorted(values)),
            autoescape=True,
            finalize=_finalize,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self.templates = templates
        self.files: list[str] = []
        self.steps = 0
        self.globals = {"range": _range}
        self.filters = {name: _of_values(FILTERS[name]) for name in _FILTERS}
        self.filters |= {**_FORMATS, "join": _join, "replace": _replace, _COUNTED: _counted}
        self.tests = {name: TESTS[name] for name in _TESTS}
        self.concat = _bounded  # type: ignore[method-assign]

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Return the tree of a template whose loops are counted."""
        tree = super()._parse(source, name, filename)
        if filename is not None:
            self.files.append(filename)
        for node in tree.find_all(tuple(_NOT_ALLOWED)):
            raise TemplateSyntaxError(_NOT_ALLOWED[type(node)], node.lineno, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(
                loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno
            ).set_environment(self)
        return tree

    def count(self, steps: int) -> None:
        """Take note of turns of a loop or calls; raises InvalidInput where they are too many."""
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise InvalidInput(
                f"more than {wording.count(MAX_STEPS)} turns of loops and calls",
                hint="loop over less",
            )

    def joined(self, parts: tuple[object, ...]) -> str:
        """Return what ``~`` makes: text, or laid out where a part of it is."""
        return _joined(parts, "")

    def call(self, context: Context, obj: object, *args: object, **kwargs: object) -> object:
        """Call what may be called, and count it."""
        self.count(1)
        if isinstance(obj, StrictUndefined):
            str(obj)  # fails with its name
        if not self.is_safe_callable(obj):
            raise InvalidInput(
                "this cannot be called here", hint="macros, blocks, range and loop can be"
            )
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 - as its base
        """Compute with numbers only: text that is multiplied has no end."""
        if operator == "**" or not all(isinstance(part, int | float) for part in (left, right)):
            raise InvalidInput(f"{operator} is for numbers here", hint="put texts together with ~")
        result = super().call_binop(context, operator, left, right)
        if not abs(result) <= _MAX_NUMBER:
            raise InvalidInput("a number without a bound", hint="print it as it came")
        return result

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401 - as its base
        """Return an item of a value; a part of what is laid out would lose its escapes."""
        if isinstance(obj, Markup):
            raise _laid_out()
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Allow fields of what was handed over, and a few methods of text and mappings."""
        if not super().is_safe_attribute(obj, attr, value) or isinstance(obj, Markup):
            return False
        if isinstance(obj, str):
            return attr in _TEXT_METHODS
        if isinstance(obj, Mapping):
            return attr in _MAPPING_METHODS
        of_jinja = (
            type(obj).__module__ == "jinja2.runtime" or type(obj).__name__ == "TemplateModule"
        )
        fields = is_dataclass(obj) or hasattr(type(obj), "_fields")
        return of_jinja or (fields and not isinstance(obj, type) and not callable(value))

    def is_safe_callable(self, obj: object) -> bool:
        """Allow macros, blocks, ``loop``, ``range`` and the methods of text and mappings."""
        if isinstance(obj, Macro | LoopContext | BlockReference) or obj is _range:
            return True
        if not isinstance(obj, BuiltinMethodType | MethodType):
            return False
        owner, name = obj.__self__, obj.__name__
        return (
            (type(owner) is str and name in _TEXT_METHODS)
            or (isinstance(owner, Mapping) and name in _MAPPING_METHODS)
            or isinstance(owner, LoopContext)
        )

    def unsafe_undefined(self, obj: object, attribute: str) -> Any:  # noqa: ANN401 - as its base
        """Return what fails with a message when it is used."""
        del obj
        name = wording.safe(attribute, wording.SHORT)
        return self.undefined(f"{name} is not open to templates", name=name, exc=SecurityError)


def _laid_out() -> InvalidInput:
    return InvalidInput(
        "what is laid out can only be printed or joined", hint="do that with the value itself"
    )


def _of_values(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that refuses what is laid out: turned round it would lose its escapes."""

    @wraps(filter_)
    def checked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the filter
        if any(isinstance(value, Markup) for value in (*args, *kwargs.values())):
            raise _laid_out()
        return filter_(*args, **kwargs)

    return checked


def _unknown(names: Sequence[str]) -> type[StrictUndefined]:
    """Return what stands for a name that is not there: using it says which ones are."""

    class Unknown(StrictUndefined):
        @property
        def _undefined_message(self) -> str:
            if self._undefined_hint:
                return self._undefined_hint
            name, owner = str(self._undefined_name), self._undefined_obj
            there: Sequence[str] = names
            if owner is not missing:
                there = [*owner] if isinstance(owner, Mapping) else dir(owner)
                there = [str(key) for key in there if not str(key).startswith("_")]
            shown = wording.safe(name, wording.SHORT)
            close = nearest(name, there)
            return f"no {shown} here; {close}" if close else f"no {shown} here"

    return Unknown


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if max(abs(numbers.start), abs(numbers.stop)) > MAX_STEPS:
        raise InvalidInput(
            f"range goes to {wording.count(MAX_STEPS)} at the most", hint="loop over less"
        )
    return numbers


@pass_context
def _counted(context: Context, values: Any) -> list[Any]:  # noqa: ANN401 - whatever a loop is over
    """Return what a loop goes over."""
    environment = context.environment
    items = []
    for item in values:
        environment.count(1)  # type: ignore[attr-defined] # it is ours
        items.append(item)
    return items


def _bounded(parts: Iterable[str]) -> str:
    texts, size = [], 0
    for text in parts:
        size += len(text)
        if size > MAX_DOCUMENT:
            raise InvalidInput("this document has no end", hint="2 MiB is the most")
        texts.append(text)
    return "".join(texts)


# --- what a template may print

# As ``wording.markdown``, but no more than is needed: people read this Markdown as it is, times and
# names such as rolled_back in it. ``_`` is nothing inside of a word, ``:`` only in an address or an
# emoji.
_MARKUP = re.compile(
    r"[\\`*{}\[\]<>#!|~$@&]|(?<![^\W_])_|_(?![^\W_])"
    r"|:(?=/)|(?<=mailto):|(?<=xmpp):|:(?!\d\d:)(?=[\w+-]+:)|(?<=www)\.",
    re.IGNORECASE,
)

# What makes a list, a heading, a table or a link of a line, or of the text before a value.
_START = re.compile(r"^( ?(?:\d{1,9}(?=[.)](?: |$))|(?=[-=+(]|:-)))")


def _inert(text: str) -> Markup:
    """Return text that stays text wherever it stands in Markdown, at the start of a line, too."""
    line = re.sub(r"\s+", " ", wording.flat(text))
    return Markup(_START.sub(r"\1\\", _MARKUP.sub(r"\\\g<0>", line)))  # noqa: S704 - escaped


def _words(value: object) -> str:
    """Return a single value as text; raises InvalidInput for what has to be taken apart."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOT_MEASURED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, StrictUndefined):
        str(value)  # fails with the name
    raise InvalidInput(
        f"a {type(value).__name__} cannot be printed", hint="name a field of it, or loop over it"
    )


@pass_context
def _finalize(context: Context, value: object) -> Markup:
    """Return what is printed by ``{{ }}``: laid out already, or text."""
    del context  # asked for so that constants come through here, too
    return value if isinstance(value, Markup) else _inert(wording.flat(_words(value)).strip())


def _joined(parts: Iterable[object], separator: str) -> str:
    texts = list(parts)
    if not any(isinstance(part, Markup) for part in (*texts, separator)):
        texts, laid_out = [_words(part) for part in texts], False
    else:
        escaped = (part if isinstance(part, Markup) else _inert(_words(part)) for part in texts)
        texts, laid_out = list(escaped), True
        separator = separator if isinstance(separator, Markup) else _inert(separator)
    pairs = ((str(separator), text) if i else (text,) for i, text in enumerate(map(str, texts)))
    text = _bounded(part for pair in pairs for part in pair)
    return Markup(text) if laid_out else text  # noqa: S704 - every part is escaped


def _join(values: Iterable[object], separator: str = ", ") -> str:
    return _joined(values, separator)


def _replace(text: object, old: str, new: str) -> str:
    words = _words(text)
    if isinstance(text, Markup) or not old or len(words) * max(1, len(new)) > MAX_DOCUMENT:
        raise InvalidInput("replace changes a text by a text", hint="use it on a value alone")
    return words.replace(old, new)


def _fenced(text: object, language: str = "", indent: int = 0) -> Markup:
    """Return text as a block of code whose fence no line of it can end.

    ``indent`` is in spaces, of the lines after the first: for a block in an item of a list.
    """
    lines = [
        "".join(char if char.isprintable() else " " for char in line)
        for line in _words(text).splitlines()
    ]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    name = re.sub(r"[^a-z]", "", language)
    block = f"\n{' ' * min(indent, 12)}".join([fence + name, *lines, fence])
    return Markup(block)  # noqa: S704 - nothing ends the fence


def _measured(value: float | None, unit: str = "ratio") -> str:
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    return wording.number(value, unit)


def _ends(estimate: Any) -> str:  # noqa: ANN401 - an estimate, or what reads like one
    shown = wording.interval(estimate.low, estimate.high, estimate.unit)
    return NOT_MEASURED if shown == wording.NONE else shown


_FORMATS: Mapping[str, Callable[..., str]] = {
    "md": lambda value: _inert(_words(value)),
    "code": lambda value: Markup(wording.code(_words(value))),  # noqa: S704 - inside a code span
    "fenced": _fenced,
    "quoted": lambda value: shlex.quote(wording.flat(_words(value))),
    "value": lambda estimate: _measured(estimate.value, estimate.unit),
    "interval": _ends,
    "number": _measured,
    "percent": lambda value: _measured(value, "fraction"),
    "ms": lambda value: _measured(value, "ms"),
    "points": lambda value: NOT_MEASURED if value is None else wording.amount(value, "fraction"),
    "thousands": lambda value: NOT_MEASURED if value is None else wording.count(value),
}
"""Filters: where text goes, and how a number reads."""


# --- pages

_FRONT_MATTER = re.compile(r"\A---\n(?:.*\n)*?---\n")
_BOXES = {"[ ] ": "\N{BALLOT BOX} ", "[x] ": "\N{BALLOT BOX WITH CHECK} "}


def _allowed_link(url: str) -> bool:
    return url.startswith("#") or urlsplit(url).scheme in {"http", "https", "mailto"}


def _markdown_it() -> MarkdownIt:
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
