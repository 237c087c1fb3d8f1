"""Which folders a dataset has to be allowed to read, and what its audio is called below them."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from relkit.domain.imports import LocatedAudio, PlacedAudio

_NARROW = 3
"""Parts of a path from which it stands for a corpus: ``/``, a disk, a folder."""


def place(located: Sequence[LocatedAudio]) -> PlacedAudio:
    """Return the fewest narrow folders that hold all files, and each file's path below its own.

    Files that lie elsewhere and are only linked to need their real folders as well; those come
    last. Paths are absolute and normalized.
    """
    roots = _roots(PurePosixPath(item.path).parent for item in located)
    inside = (*roots, *(PurePosixPath(item.path) for item in located))
    targets = [
        PurePosixPath(item.real).parent
        for item in located
        if item.found and not any(PurePosixPath(item.real).is_relative_to(root) for root in inside)
    ]
    return PlacedAudio(
        roots=tuple(str(root) for root in roots),
        linked=tuple(str(root) for root in _roots(targets)),
        places=tuple(_below(PurePosixPath(item.path), roots) for item in located),
    )


def _below(path: PurePosixPath, roots: Sequence[PurePosixPath]) -> tuple[int, str]:
    index = next(i for i, root in enumerate(roots) if path.is_relative_to(root))
    return index, str(path.relative_to(roots[index]))


def _roots(folders: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """Return folders, none inside of another, that hold all of the given ones."""
    return sorted(_common(sorted({folder.parts for folder in folders})))


def _common(folders: list[tuple[str, ...]]) -> list[PurePosixPath]:
    """Return the common folder where it is narrow enough, else those of each branch."""
    if not folders:
        return []
    first, last = folders[0], folders[-1]  # sorted: what these share, all share
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    if shared >= _NARROW or len(folders) == 1 or shared == len(first):
        return [PurePosixPath(*first[:shared])]
    branches: dict[str, list[tuple[str, ...]]] = {}
    for folder in folders:
        branches.setdefault(folder[shared], []).append(folder)
    return [root for branch in branches.values() for root in _common(branch)]
