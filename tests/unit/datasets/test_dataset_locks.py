"""``lock.json`` and DVC's files: what is written is what is read, and nothing else is taken."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import strategies as st

from relkit.core.codec import schema
from relkit.core.errors import InvalidInput
from relkit.datasets.files import parse_listing, parse_lock, parse_pointer, render_lock
from relkit.datasets.types import DatasetLock, LockedAudio

HEX = "a1" * 32
MD5 = "b2" * 16
LOCK = DatasetLock(
    name="words",
    digest=f"sha256:{HEX}",
    utterances=2,
    slices={"accent": ("broad", "plain", "(none)")},
    audio=LockedAudio(
        dvc={"audio": f"{MD5}.dir"}, sha256={"audio/a.wav": HEX, "audio/é b.wav": HEX}
    ),
)
PLAIN = st.text("abcé .", min_size=1, max_size=8).filter(lambda name: name.strip("."))


def test_a_lock_is_read_as_it_was_written() -> None:
    """Both ways, and the text does not depend on the order things were found in."""
    text = render_lock(LOCK)
    assert parse_lock(text, source="lock.json") == LOCK
    turned = DatasetLock(
        name=LOCK.name,
        digest=LOCK.digest,
        utterances=2,
        slices=dict(reversed(list(LOCK.slices.items()))),
        audio=LockedAudio(
            dvc=LOCK.audio.dvc, sha256=dict(reversed(list(LOCK.audio.sha256.items())))
        ),
    )
    assert render_lock(turned) == text
    assert text.endswith("}\n")


def test_a_lock_fits_its_schema() -> None:
    """Other programs read it by the published schema."""
    jsonschema.validate(json.loads(render_lock(LOCK)), schema(DatasetLock))


def _with(**changes: Any) -> str:  # noqa: ANN401  # any JSON value
    document = json.loads(render_lock(LOCK))
    document.update(changes)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "a mapping of keys"),
        (_with(schema="relkit.dataset-lock/v2"), '"schema"'),
        (_with(digest=HEX), '"digest"'),
        (_with(digest=f"sha256:{HEX}\n"), '"digest"'),
        (_with(utterances=0), '"utterances"'),
        (_with(slices={"accent": "plain"}), '"slices.accent"'),
        (_with(more=1), 'unknown key "more"'),
        (_with(audio={"dvc": {"audio": "x"}, "sha256": {}}), '"audio.dvc.audio"'),
        (_with(audio={"dvc": {"audio": f"{MD5}.dir/../.."}, "sha256": {}}), '"audio.dvc.audio"'),
        (_with(audio={"dvc": {}, "sha256": {"a.wav": "x"}}), '"audio.sha256.a.wav"'),
        (_with(audio={"dvc": {"../out": MD5}, "sha256": {}}), "leaves its folder"),
        (_with(audio={"dvc": {"/out": MD5}, "sha256": {}}), "leaves its folder"),
        (_with(audio={"dvc": {}, "sha256": {"a/../../b": HEX}}), "leaves its folder"),
    ],
)
def test_a_wrong_lock_is_refused(text: str, message: str) -> None:
    """A lock decides what is evaluated; one that was edited by hand is not believed."""
    with pytest.raises(InvalidInput, match=r"lock\.json") as caught:
        parse_lock(text, source="lock.json")
    assert message in caught.value.message


POINTER = f"outs:\n- md5: {MD5}.dir\n  size: 3\n  nfiles: 2\n  hash: md5\n  path: audio\n"


def test_a_pointer_gives_its_hash() -> None:
    """DVC's own file, with keys that are none of our business."""
    assert parse_pointer(POINTER, source="audio.dvc") == f"{MD5}.dir"
    assert parse_pointer("desc: mine\n" + POINTER, source="audio.dvc") == f"{MD5}.dir"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no DVC file of one path"),
        ("outs: []\n", "is no DVC file of one path"),
        ("outs: 3\n", "is no DVC file of one path"),
        (POINTER + POINTER.removeprefix("outs:\n"), "is no DVC file of one path"),
        (POINTER.replace("  hash: md5\n", ""), "was written by DVC 2"),
        (POINTER.replace(MD5, "../../x"), '"md5"'),
    ],
)
def test_a_wrong_pointer_is_refused(text: str, message: str) -> None:
    """Each with the file's name and what to do."""
    with pytest.raises(InvalidInput, match=r"audio\.dvc") as caught:
        parse_pointer(text, source="audio.dvc")
    assert message in caught.value.message


def test_a_listing_gives_files_and_refuses_paths_that_leave() -> None:
    """It comes from a remote, so it may say anything."""
    good = json.dumps([{"md5": MD5, "relpath": "x/a.wav"}])
    assert parse_listing(good, source="audio") == {"x/a.wav": MD5}
    for path in ("../a.wav", "/etc/passwd", "x//a.wav", "x/../a.wav", "./a", ""):
        bad = json.dumps([{"md5": MD5, "relpath": path}])
        with pytest.raises(InvalidInput):
            parse_listing(bad, source="audio")
    with pytest.raises(InvalidInput):
        parse_listing('{"a": 1}', source="audio")
