"""Which folders a dataset must be allowed to read: few, narrow, and enough."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.datasets.imports.rows import LocatedAudio
from relkit.datasets.imports.run import place_audio

PARTS = st.lists(st.sampled_from(["data", "mnt", "corpus", "wav"]), min_size=1, max_size=5)


def at(*paths: str, real: str | None = None) -> list[LocatedAudio]:
    """Return files at these paths; ``real`` is where the last one leads."""
    found = [LocatedAudio(path=path, real=path, exists=True) for path in paths]
    if real is not None:
        found[-1] = LocatedAudio(path=paths[-1], real=real, exists=True)
    return found


@pytest.mark.parametrize(
    ("paths", "roots"),
    [
        (["/data/corpus/a/1.wav", "/data/corpus/b/2.wav"], ["/data/corpus"]),
        (["/data/corpus/1.wav"], ["/data/corpus"]),
        (["/data/1.wav", "/data/b/2.wav"], ["/data"]),
        (["/data/a/1.wav", "/mnt/b/2.wav"], ["/data/a", "/mnt/b"]),
        (["/data/a/1.wav", "/data/b/2.wav"], ["/data/a", "/data/b"]),
        (["/data/c/a/1.wav", "/data/c/b/1.wav", "/x/1.wav"], ["/data/c", "/x"]),
    ],
)
def test_roots_are_narrow(paths: list[str], roots: list[str]) -> None:
    """Neither the whole machine nor a whole disk is opened because two folders lie on it."""
    assert list(place_audio(at(*paths)).roots) == roots


def test_a_link_opens_the_folder_it_leads_to() -> None:
    """A download may hold links into a store beside it."""
    placed = place_audio(
        at("/hub/snap/data/1.wav", "/hub/snap/data/2.wav", real="/hub/blobs/store/ab")
    )
    assert placed.roots == ("/hub/snap/data",)
    assert placed.linked == ("/hub/blobs/store",)
    inside = place_audio(at("/hub/snap/1.wav", "/hub/snap/2.wav", real="/hub/snap/deep/3.wav"))
    assert inside.linked == ()


@given(st.lists(PARTS, min_size=1, max_size=8))
def test_every_file_is_below_its_root(folders: list[list[str]]) -> None:
    """A root and the path below it are the file; no root lies in another."""
    paths = [f"/{'/'.join(folder)}/clip{i}.wav" for i, folder in enumerate(folders)]
    placed = place_audio(at(*paths))
    assert [f"{placed.roots[i]}/{path}" for i, path in placed.places] == paths
    for one in placed.roots:
        assert one != "/"
        assert not any(
            PurePosixPath(one).is_relative_to(other) for other in placed.roots if other != one
        )
