"""The structure of the code as figures: sizes, imports, vague bindings, twin names, restated types.

``python -m benchmarks.structure [FOLDER …]`` prints a column for each checkout (default: this one).
"""

import argparse
import ast
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

VAGUE = frozenset(
    {"found", "one", "own", "wanted", "known", "said", "told", "kept", "given", "whole", "made"}
    | {"seen", "asked", "left", "there", "other", "others", "thing", "things", "manager", "helper"}
    | {"util", "handler", "process", "info", "heard", "shelf", "lent", "mend", "supposing"}
)
"""Names that do not say what they hold."""

RESTATED_SHARE = 0.75
"""A place restates a type where it spells this share of the type's fields, and at least three."""
_FIELDS = 3


@dataclass(slots=True)
class Structure:
    """What was counted in one checkout; ``twins`` maps a public name to the modules with it."""

    lines: dict[str, int] = field(default_factory=dict)
    test_lines: dict[str, int] = field(default_factory=dict)
    imports: int = 0
    bindings: int = 0
    vague: Counter[str] = field(default_factory=Counter)
    twins: dict[str, list[str]] = field(default_factory=dict)
    types: int = 0
    restated: dict[str, list[str]] = field(default_factory=dict)


def bindings(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a module binds: parameters, targets, loops, ``as`` names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg) and node.arg not in {"self", "cls"}:
            yield node.arg
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def public_names(tree: ast.Module) -> Iterator[str]:
    """Yield the public functions, classes and constants that a module defines."""
    for node in tree.body:
        names: list[str] = []
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        yield from (name for name in names if not name.startswith("_"))


def _field_names(node: ast.ClassDef) -> frozenset[str]:
    return frozenset(
        item.target.id
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    )


def _spelled(tree: ast.Module) -> Iterator[tuple[int, frozenset[str]]]:
    """Yield (line, keys) of every place that spells a type: a class with fields, a mapping."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.lineno, _field_names(node)
        elif isinstance(node, ast.Dict):
            keys = [
                key.value
                for key in node.keys
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            ]
            yield node.lineno, frozenset(keys)
        elif isinstance(node, ast.Call):
            # Record → type by hand: Type(a=record.a, b=record.b, …)
            copied = [
                word.arg
                for word in node.keywords
                if word.arg
                and isinstance(word.value, ast.Attribute)
                and word.value.attr == word.arg
            ]
            yield node.lineno, frozenset(copied)


def _restated(trees: Mapping[str, ast.Module]) -> tuple[int, dict[str, list[str]]]:
    types: dict[str, tuple[str, int, frozenset[str]]] = {}
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any(
                "dataclass" in ast.unparse(decorator) for decorator in node.decorator_list
            ):
                names = _field_names(node)
                if len(names) >= _FIELDS:
                    types[f"{path}:{node.name}"] = (path, node.lineno, names)
    places = [(path, *place) for path, tree in trees.items() for place in _spelled(tree)]
    restated: dict[str, list[str]] = {}
    for name, (path, line, names) in types.items():
        for other, at, keys in places:
            if (other, at) != (path, line) and len(keys & names) >= max(
                _FIELDS, RESTATED_SHARE * max(len(names), len(keys))
            ):
                restated.setdefault(name, []).append(f"{other}:{at}")
    return len(types), restated


def measure(root: Path, package: str = "relkit", tests: str = "tests") -> Structure:
    """Count the structure of a checkout at ``root``; raises SyntaxError for code that is none."""
    counted = Structure()
    trees: dict[str, ast.Module] = {}
    for path in sorted((root / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        relative = path.relative_to(root).as_posix()
        counted.lines[relative] = text.count("\n")
        trees[relative] = ast.parse(text)
    for path in sorted((root / tests).rglob("*.py")):
        relative = path.relative_to(root).as_posix()
        counted.test_lines[relative] = path.read_text(encoding="utf-8").count("\n")
    modules = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in trees
    }
    defined: dict[str, list[str]] = {}
    for name, tree in trees.items():
        counted.imports += len(_imported(tree, modules) - {name})
        for binding in bindings(tree):
            counted.bindings += 1
            if binding.strip("_") in VAGUE:
                counted.vague[binding] += 1
        for public in () if _repeats(name) else public_names(tree):
            defined.setdefault(public, []).append(name)
    # The verbs have one name each in the command line, the API and the wiring, and the auditors'
    # single file repeats what it verifies.
    counted.twins = {public: names for public, names in defined.items() if len(names) > 1}
    counted.types, counted.restated = _restated(trees)
    return counted


def _repeats(path: str) -> bool:
    return path.split("/")[1] in {"cli", "api.py", "wiring"} or "audit" in path


def _imported(tree: ast.Module, modules: Mapping[str, str]) -> set[str]:
    """Return the files of the package that a file imports from."""
    files = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                nested = f"{node.module}.{alias.name}"
                if target := modules.get(nested) or modules.get(node.module):
                    files.add(target)
    return files


def rows(counted: Structure) -> Iterator[tuple[str, str]]:
    """Yield (what, figure) of a checkout."""
    code = [lines for lines in counted.lines.values() if lines > 1]
    largest = max(counted.lines, key=counted.lines.__getitem__)
    vague = sum(counted.vague.values())
    yield "lines of relkit/", f"{sum(code):,}"
    yield "files of relkit/ (of more than a docstring)", f"{len(code)}"
    yield "median file, lines", f"{statistics.median(code):.0f}"
    yield "largest file, lines", f"{counted.lines[largest]:,} ({Path(largest).name})"
    yield "files per 1,000 lines", f"{1000 * len(code) / sum(code):.1f}"
    yield "lines of tests/", f"{sum(counted.test_lines.values()):,}"
    yield "files of tests/", f"{len(counted.test_lines)}"
    yield "imports from file to file", f"{counted.imports:,}"
    yield "bindings", f"{counted.bindings:,}"
    yield "vague bindings", f"{vague:,} ({100 * vague / counted.bindings:.2f} %)"
    yield "public names defined twice", f"{len(counted.twins)}"
    yield "dataclasses of three fields and more", f"{counted.types}"
    places = sum(len(places) for places in counted.restated.values())
    yield "of them restated elsewhere", f"{len(counted.restated)} in {places} places"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="*", type=Path, default=[Path()])
    parser.add_argument("--twins", action="store_true", help="list the names that stand twice")
    parser.add_argument("--restated", action="store_true", help="list the types that are restated")
    options = parser.parse_args()
    counted = [measure(folder) for folder in options.folder]
    for line in zip(*(tuple(rows(structure)) for structure in counted), strict=True):
        print(f"{line[0][0]:44}", *(f"{value:>28}" for _, value in line))
    for structure in counted:
        if options.twins:
            for name, files in sorted(structure.twins.items()):
                print(name, *files)
        if options.restated:
            for name, places in sorted(structure.restated.items()):
                print(name, *places)


if __name__ == "__main__":
    main()
