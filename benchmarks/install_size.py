"""What an installation weighs: the files of relkit's dependencies, and what each extra adds.

Bytes of the distributions that are installed here, with all that they need themselves; an extra
that is not whole in this environment is left out. Neither relkit itself nor pip is counted.
"""

import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from relkit._version import DISTRIBUTION

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
MIB = 1 << 20
HEAVIEST = 4


def closure(requirements: list[str]) -> set[str]:
    """Return the distributions that requirements bring; raises PackageNotFoundError."""
    brought: set[str] = set()
    pending = [(requirement, "") for requirement in requirements]
    while pending:
        text, extra = pending.pop()
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is not None and not marker.evaluate({"extra": extra}):
            continue
        needed = metadata.requires(requirement.name) or []
        for name in ("", *requirement.extras):
            if (entry := f"{requirement.name}[{name}]") not in brought:
                brought.add(entry)
                pending += [(other, name) for other in needed]
    return {entry.partition("[")[0].lower().replace("_", "-") for entry in brought}


def size(name: str) -> int:
    """Return the bytes of a distribution's files."""
    paths = (Path(str(file.locate())) for file in metadata.files(name) or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def main() -> None:
    """Print a row for what every installation has, and one for each extra beyond it."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    base = closure(project["dependencies"])
    print(f"{'':12} {'MB':>5}  heaviest")
    for extra in ("", *extras):
        if any(item.startswith(DISTRIBUTION) for item in extras.get(extra, ())):
            continue
        try:
            names = closure(extras[extra]) - base if extra else base
        except metadata.PackageNotFoundError:
            continue
        sizes = sorted(((size(name), name) for name in names), reverse=True)
        total = sum(weight for weight, _ in sizes) / MIB
        shown = ", ".join(f"{name} {weight / MIB:.0f}" for weight, name in sizes[:HEAVIEST])
        print(f"{extra or 'base':12} {total:5.0f}  {shown}")


if __name__ == "__main__":
    main()
