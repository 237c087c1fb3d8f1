"""Templates of relkit's and of a workspace: what they may reach, and how much they may do."""

import os
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import wraps
from importlib.resources import files
from pathlib import Path
from types import BuiltinMethodType, MethodType
from typing import Any, ClassVar

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError, TemplateNotFound, TemplateSyntaxError
from jinja2.filters import FILTERS
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import missing
from markupsafe import Markup

from relkit.adapters.documents.text import FORMATS, laid_out, present, printed, words_of
from relkit.core import wording
from relkit.core.codec import nearest
from relkit.core.errors import InvalidInput, Malformed

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

MAX_TEXT = 1 << 24
"""Characters of all texts that are made on the way to a document."""

_MAX_NUMBER = 10**18
_SUFFIX = ".md.j2"
_NAME = re.compile(rf"(?:{SHIPPED})?([A-Za-z0-9][A-Za-z0-9_-]{{0,63}}){re.escape(_SUFFIX)}")


def filled_in(workspace: Path | None, template: str, values: Mapping[str, object]) -> str:
    """Return a template of relkit's, or the workspace's own of that name, filled in.

    Everything printed is text to Markdown without a filter for it. Raises InvalidInput with file
    and line for an error of the template, or a name that it does not know.
    """
    environment = _Sandbox(_Templates(workspace), values)
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
    except TemplateError as error:  # undefined names and what the sandbox refuses, in our words
        raise _located(environment, error, wording.flat(error.message or "")) from error
    except (RecursionError, SyntaxError, MemoryError) as error:
        problem = "nested too deeply, or a macro or template calls itself"
        raise _located(environment, error, problem) from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        problem = "this cannot be worked out"  # the error's own words may quote a value
        raise _located(environment, error, f"{problem} ({type(error).__name__})") from error
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


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


_COUNTED = "_counted"

_FILTERS = (
    *("abs", "capitalize", "count", "dictsort", "first", "groupby", "items"),
    *("last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse"),
    *("select", "selectattr", "sort", "sum", "title", "trim", "truncate", "unique"),
    "upper",
)
"""Those of Jinja that make nothing larger and nothing up: ``default`` and ``int`` would."""

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
    """Compiles ``~`` to a join that escapes for Markdown, slices and lists to what is bounded."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802
        self.write("environment.made(")
        super().visit_List(node, frame)
        self.write(")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        self.write("environment.made(")
        super().visit_Dict(node, frame)
        self.write(")")

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802
        if node.ctx == "store":  # names that are set, as those of a loop
            super().visit_Tuple(node, frame)
            return
        self.write("environment.made(")
        super().visit_Tuple(node, frame)
        self.write(")")

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
            finalize=printed,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self.templates = templates
        self.files: list[str] = []
        self.blocks: dict[str | None, set[str]] = {}
        self.extending: list[str] = []
        self.steps = 0
        self.characters = 0
        self.globals = {"range": self.numbers}
        self.filters = {name: self.of_values(FILTERS[name]) for name in _FILTERS}
        self.filters |= {name: self.of_values(FORMATS[name]) for name in FORMATS}
        self.filters |= {"join": self.join, "replace": self.replace, _COUNTED: self.counted}
        self.tests = {name: self.of_values(TESTS[name]) for name in _TESTS}
        self.concat = self.bounded  # type: ignore[method-assign]

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Return the tree of a template whose loops are counted."""
        if filename is not None:
            self.files.append(filename)
        tree = super()._parse(source, name, filename)
        for node in tree.find_all(tuple(_NOT_ALLOWED)):
            raise TemplateSyntaxError(_NOT_ALLOWED[type(node)], node.lineno, name, filename)
        self._hold_blocks(tree, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(
                loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno
            ).set_environment(self)
        return tree

    def _hold_blocks(self, tree: nodes.Template, name: str | None, filename: str | None) -> None:
        """Raise where a template fills a block that the one it extends has not, to no effect."""
        self.blocks[name] = {block.name for block in tree.find_all(nodes.Block)}
        for node in tree.find_all(nodes.Extends):
            if not isinstance(node.template, nodes.Const) or node.template.value in self.extending:
                continue
            base = str(node.template.value)
            self.extending.append(base)
            try:
                self.get_template(base)
            except TemplateNotFound:
                continue  # said where it is rendered, with the line
            finally:
                self.extending.pop()
            there = self.blocks.get(base, set())
            for block in (part for part in tree.body if isinstance(part, nodes.Block)):
                if block.name not in there:
                    close = nearest(block.name, sorted(there)) or f"{base} has none"
                    problem = f"no block {wording.safe(block.name, wording.SHORT)} there; {close}"
                    raise TemplateSyntaxError(problem, block.lineno, name, filename)
            self.blocks[name] |= there

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
        return self.join(parts, "")

    def join(self, values: Iterable[object], separator: str = ", ") -> str:
        """Return values as one text, laid out where one of them is."""
        parts = list(values)
        escaped = any(isinstance(part, Markup) for part in (*parts, separator))
        texts = [laid_out(part) if escaped else words_of(part) for part in parts]
        between = laid_out(separator) if escaped else separator
        text = self.bounded(
            piece for i, text in enumerate(texts) for piece in ((between, text) if i else (text,))
        )
        return Markup(text) if escaped else text  # noqa: S704 - every part is escaped

    def replace(self, text: object, old: str, new: str) -> str:
        """Return a text in which others stand for some of it."""
        words = words_of(text)
        if isinstance(text, Markup) or not old:
            raise InvalidInput("replace changes a text by a text", hint="use it on a value alone")
        self.count_text(words.count(old) * len(new))
        return self.bounded([words.replace(old, new)])

    def bounded(self, parts: Iterable[str]) -> str:
        """Return texts as one; raises InvalidInput where it, or all of them, has no end."""
        texts, size = [], 0
        for text in parts:
            size += len(text)
            self.count_text(len(text))
            if size > MAX_DOCUMENT:
                raise InvalidInput("this document has no end", hint="2 MiB is the most")
            texts.append(text)
        return "".join(texts)

    def count_text(self, characters: int) -> None:
        """Take note of text that was made; raises InvalidInput where it is too much."""
        self.characters += characters
        if self.characters > MAX_TEXT:
            raise InvalidInput("this document has no end", hint="make less text on the way to it")

    def counted(self, values: Iterable[object]) -> list[object]:
        """Return what a loop goes over."""
        items = []
        for item in values:
            self.count(1)
            items.append(item)
        return items

    def numbers(self, *bounds: int) -> range:
        """Return what ``range`` gives."""
        numbers = range(*bounds)
        self.count(min(len(numbers), 2 * MAX_STEPS))
        return numbers

    def made(self, container: object) -> object:
        """Return a list of a template's own; raises InvalidInput where all in it is too much."""
        inside, size = [container], 0
        while inside:
            item = inside.pop()
            if isinstance(item, list | tuple | dict):
                size += len(item)
                inside += item.values() if isinstance(item, dict) else item
            if size > MAX_STEPS:
                raise InvalidInput("a list without end", hint="loop over less")
        return container

    def of_values(self, function: Any) -> Callable[..., Any]:  # noqa: ANN401 - Jinja has no type for it
        """Return a filter or test of values that are there.

        It refuses what is laid out, which would lose its escapes where it is turned or cut.
        """

        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the function
            for value in (*args, *kwargs.values()):
                if isinstance(value, Markup):
                    raise _refused_layout()
                present(value)
            result = function(*args, **kwargs)
            if isinstance(result, str):
                self.count_text(len(result))
            return result

        return checked

    def call(self, context: Context, obj: object, *args: object, **kwargs: object) -> object:
        """Call what may be called, and count it."""
        self.count(1)
        present(obj)
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
            raise _refused_layout()
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
        if isinstance(obj, Macro | LoopContext | BlockReference) or obj == self.numbers:
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


def _refused_layout() -> InvalidInput:
    return InvalidInput(
        "what is laid out can only be printed or joined", hint="do that with the value itself"
    )


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
