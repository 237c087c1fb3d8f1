"""docs/cli.md and the program: every command and option of each is in the other."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from relkit.cli.app import app
from tests.conftest import ROOT
from tests.documented import PAGE, commands

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("S*.md")])
COMMON = {"--workspace", "--json", "--quiet", "--debug", "--color"}
HELP = {"--help", "-h"}


def tree(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401  # Typer's own command type is private
    """Yield every command of the program with its name, groups left out."""
    names = command.list_commands(None) if hasattr(command, "list_commands") else None
    if names is None:
        yield path, command
        return
    if getattr(command, "place", ""):
        yield path, command.direct
    for name in names:
        yield from tree(command.get_command(None, name), (*path, name))


PROGRAM = dict(tree(get_command(app)))
ALL_OPTIONS = {path: {*COMMON, *HELP} for path in PROGRAM}
for _path, _command in PROGRAM.items():
    for _parameter in _command.params:
        if _parameter.param_type_name == "option":
            ALL_OPTIONS[_path] |= {*_parameter.opts, *_parameter.secondary_opts}


def typed(path: tuple[str, ...]) -> str:
    """Return a command as the page heads it: its name, and its arguments."""
    words = list(path)
    for parameter in PROGRAM[path].params:
        if parameter.param_type_name == "argument":
            name = parameter.metavar
            name = name[1:-1] if name.startswith("[") else name
            word = name if parameter.required else f"[{name}]"
            words.append(f"{word}…" if parameter.nargs == -1 else word)
    return " ".join(words)


def test_the_page_has_the_commands_of_the_program() -> None:
    """Each command stands there once, with its arguments, in the order of ``--help``."""
    page, program = list(commands()), [typed(path) for path in PROGRAM]
    assert sorted(page) == sorted(program)


@pytest.mark.parametrize("path", PROGRAM, ids=" ".join)
def test_the_page_has_the_options_of_the_command(path: tuple[str, ...]) -> None:
    """All of them but the common ones, and none that the command does not have."""
    assert commands()[typed(path)] == ALL_OPTIONS[path] - COMMON - HELP


def test_the_page_has_the_options_of_the_program() -> None:
    """Those before the name of a command stand in the section of the common ones."""
    section = PAGE[PAGE.index("## 1.") : PAGE.index("## 2.")]
    root = {opt for parameter in get_command(app).params for opt in parameter.opts}
    assert {*COMMON, *HELP} | root == set(re.findall(r"(?<![\w-])--?[a-zA-Z][a-z-]*", section))


def shown_commands() -> Iterator[tuple[str, str]]:
    """Yield (document, command line) for each ``relkit …`` in a code span or block."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        blocks = re.findall(r"^```[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        lines = [line.strip() for block in blocks for line in block.splitlines()]
        lines += re.findall(r"`(relkit [^`]+)`", re.sub(r"\s+", " ", text))
        for line in lines:
            found = re.match(r"(?:\$ )?(relkit [a-z-].*)", line)
            if found:
                yield document.name, re.split(r" +#|\||>|&&|;", found[1])[0].strip()


@pytest.mark.parametrize(("document", "line"), sorted(set(shown_commands())))
def test_commands_in_documents_exist(document: str, line: str) -> None:
    """A command line in any document has a command and options that the program has."""
    if "COMMAND" in line:
        return
    words = shlex.split(line)[1:]
    names = tuple(word for word in words if not word.startswith("-"))
    paths = [path for path in PROGRAM if names[: len(path)] == path]
    paths.sort(key=len, reverse=True)  # a group may be a command itself
    groups = {path[:1] for path in PROGRAM if len(path) > 1}
    options = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
    if not paths and names in groups | {()}:
        assert options <= {*COMMON, *HELP, "--version", "--install-completion", "--show-completion"}
        return
    assert paths, f"{document}: {line}"
    assert options <= ALL_OPTIONS[paths[0]], f"{document}: {line}"
