"""The structure that CONTRIBUTING describes: roles of files, and names that say what they hold."""

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.structure import VAGUE, bindings, measure

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = (
    "statistics",
    "redaction",
    "disclosure",
    "datasets",
    "telemetry",
    "audio",
    "scoring",
    "safety",
    "conversation",
    "evaluation",
    "monitoring",
    "comparison",
    "curation",
    "gate",
    "canary",
    "attestation",
    "report",
    "registry",
    "rollback",
    "bisect",
    "incident",
    "documents",
)
"""Those below ``adapters`` and above ``core``."""

MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "types": frozenset({"types"}),
    "ports": frozenset({"types", "ports"}),
    "rules": frozenset({"types", "rules"}),
    "files": frozenset({"types", "rules", "files"}),
    "view": frozenset({"types", "rules", "view"}),
    "verb": frozenset({"types", "ports", "rules", "files", "view", "verb"}),
}
"""What each role may import from these packages; ``core`` is open to all."""


def modules() -> dict[str, ast.Module]:
    """Return the modules of the packages by dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for package in PACKAGES
        for path in (ROOT / "relkit" / package).rglob("*.py")
        if path.name != "__init__.py"
    }


def imported(tree: ast.Module, names: frozenset[str]) -> set[str]:
    """Return the modules among ``names`` that a module imports from, also inside functions."""
    targets = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                nested = f"{node.module}.{alias.name}"
                targets.add(nested if nested in names else node.module)
    return targets & names


def role(name: str, uses: set[str]) -> str:
    """Return the role that a module's name says; what takes ports is a verb."""
    last = name.rpartition(".")[2]
    if last in {"types", "ports"}:
        return last
    if last == "files" or last.endswith("_files"):
        return "files"
    if last == "view" or last.endswith("_view"):
        return "view"
    if last == "run" or any(used.endswith(".ports") for used in uses):
        return "verb"
    return "rules"


def test_roles_import_what_their_role_allows() -> None:
    """A type knows no rule, a rule no file format and no port, a view no verb."""
    trees = modules()
    names = frozenset(trees)
    uses = {name: imported(tree, names) for name, tree in trees.items()}
    roles = {name: role(name, uses[name]) for name in trees}
    broken = [
        f"{roles[name]} {name} imports {roles[used]} {used}"
        for name in sorted(trees)
        for used in sorted(uses[name])
        if roles[used] not in MAY_IMPORT[roles[name]]
    ]
    assert not broken, "\n".join(broken)


def test_bindings_say_what_they_hold() -> None:
    """Under one binding in a hundred has a name such as ``found``: the list is ``VAGUE``."""
    counted = measure(ROOT)
    share = sum(counted.vague.values()) / counted.bindings
    assert share < 0.01, counted.vague.most_common()


def test_public_names_mean_one_thing() -> None:
    """No public type, function or constant below the wiring is defined in two files."""
    assert not measure(ROOT).twins


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("found = 1", ["found"]),
        ("def f(one, *rest, key=None): pass", ["one", "rest", "key"]),
        ("for item in items: pass", ["item"]),
        ("with open(p) as file: pass", ["file"]),
        ("try: pass\nexcept OSError as error: pass", ["error"]),
        ("[x for x in xs]", ["x"]),
        ("a.b = 1", []),
    ],
)
def test_every_way_to_bind_is_counted(source: str, names: list[str]) -> None:
    """The count sees assignments, parameters, loops and ``as`` names, and no attribute."""
    assert sorted(bindings(ast.parse(source))) == sorted(names)


def test_the_words_to_avoid_are_lower_case_words() -> None:
    """A word that no binding can have would make the count blind."""
    assert all(word.isidentifier() and word.islower() for word in VAGUE)
