"""``release.json``: round trip, digests, and every defect with its line."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.core.codec import encode, schema
from relkit.core.digests import digest_of, sha256_bytes
from relkit.core.errors import InvalidInput
from relkit.registry.release_files import parse_release, read_release, render_release, tree_digest
from relkit.registry.types import Artifact, HostedIdentity, Release, ServingCost
from tests.release_data import DIGEST, OTHER, release

FILES = {"model.bin": DIGEST, "config.json": OTHER}
TREE = tree_digest(FILES)

KINDS = [
    release(),
    release(
        kind="files",
        artifact=Artifact(
            digest=TREE,
            root="models/asr",
            files=FILES,
        ),
        requires={"llm": ">=1.2,<2"},
        worse_slices=("accent=northern",),
        runtime="ctranslate2 4.6",
    ),
    release(
        kind="hosted",
        artifact=None,
        hosted=HostedIdentity(provider="acme", model="listen-2", configuration=DIGEST),
    ),
    release(kind="stack", component="stack", artifact=None, pins={"asr": "1.0.0", "llm": "2"}),
    release(attested="legacy", owner="", licence=""),
]


@pytest.mark.parametrize("one", KINDS, ids=lambda one: one.kind)
def test_a_release_is_what_its_file_says(one: Release) -> None:
    """Rendering and parsing give the release back, digest included."""
    assert parse_release(render_release(one).encode(), source="release.json") == one


@pytest.mark.parametrize("one", KINDS, ids=lambda one: one.kind)
def test_the_file_fits_the_published_schema(one: Release) -> None:
    """What relkit writes is what the schema promises."""
    jsonschema.validate(encode(one), schema(Release))


def test_the_digest_is_of_the_content_and_not_of_the_spelling() -> None:
    """Indentation and the order of keys change nothing; a value does."""
    one = release()
    document = encode(one)
    turned = json.dumps(dict(reversed(document.items())), indent=7)
    assert parse_release(turned.encode(), source="r").digest == one.digest
    changed = json.dumps({**document, "owner": "another team"})
    assert parse_release(changed.encode(), source="r").digest != one.digest


@settings(max_examples=150, deadline=None)
@given(
    owner=st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20),
    amount=st.one_of(st.floats(0, 1e9), st.integers(0, 10).map(float)),
    key=st.text(st.sampled_from('aé\uffff\U0001f600"\\'), min_size=1, max_size=3),
)
def test_the_digest_is_that_of_canonical_json(owner: str, amount: float, key: str) -> None:
    """RFC 8785 also where the fast way writes it: any text, any number, any key."""
    one = release(
        owner=owner,
        serving_cost=ServingCost(amount=amount, currency="EUR", per="call"),
        requires={"a": "*", key: "*"},
    )
    assert one.digest == digest_of(encode(one))


def test_the_digest_of_a_folder_is_that_of_a_run() -> None:
    """``path, sha256`` lines, sorted, as docs/cli.md says."""
    lines = f"config.json, {'b' * 64}\nmodel.bin, {'a' * 64}\n"
    assert tree_digest(FILES) == sha256_bytes(lines.encode())


GOOD: dict[str, Any] = {
    "schema": "relkit.release/v1",
    "model": "asr",
    "version": "1.0.0",
    "component": "asr",
    "created": "2026-01-31T12:00:00Z",
    "owner": "team",
    "licence": "MIT",
    "artifact": {"digest": DIGEST, "reference": f"ghcr.io/acme/asr:1@{DIGEST}"},
}
STACK = {"component": "stack", "artifact": None, "pins": {"llm": "1"}}

BAD: list[tuple[dict[str, Any], str, int]] = [
    ({"shcema": 1}, 'unknown key "shcema"', 13),
    ({"model": "../up"}, '"model"', 3),
    ({"version": "a/b"}, '"version"', 4),
    ({"version": 1.2}, '"version": Input should be a valid string', 4),
    ({"component": "asrr"}, '"component"', 5),
    ({"created": "yesterday"}, '"created": a UTC time', 6),
    ({"owner": ""}, "owner", 7),
    ({"licence": ""}, "licence", 8),
    ({"kind": "hosted"}, 'says "hosted", and the release is "reference"', 13),
    ({"artifact": None}, '"artifact" (or "hosted") is missing', 9),
    ({"hosted": {"provider": "a", "model": "b", "configuration": DIGEST}}, "has no artifact", 13),
    ({"pins": {"llm": "1"}}, "only a stack pins versions", 13),
    ({**STACK, "pins": {}}, "a stack pins one version", 10),
    ({"component": "stack", "pins": {"llm": "1"}}, 'a stack has no "artifact"', 9),
    ({"requires": {"asr": "*"}}, "names asr itself", 14),
    ({"requires": {"llm": ">>1"}}, "requires.llm", 14),
    ({"worse_slices": ["accent"]}, 'the slice "accent"', 14),
    ({"attested": "gate"}, "there is no decision", 13),
    ({"serving_cost": {"amount": -1, "currency": "EUR", "per": "call"}}, "serving_cost.amount", 14),
    ({"interface": {"languages": ["english!"]}}, "interface.languages.0", 15),
    ({"lineage": [{"dataset": "x", "digest": "md5:1"}]}, "lineage.0.digest", 16),
    ({"artifact": {"digest": OTHER, "reference": f"ghcr.io/a/b@{DIGEST}"}}, "another digest", 11),
    ({"artifact": {"digest": DIGEST, "reference": "ghcr.io/a/b:latest"}}, "by digest", 11),
    (
        {"artifact": {"digest": DIGEST, "reference": "https://me:secret@host/x"}},
        "address is refused",
        11,
    ),
    ({"artifact": {"digest": DIGEST}}, "needs root and files, or a reference", 9),
    (
        {"artifact": {"digest": DIGEST, "root": "m", "files": FILES}},
        '"artifact.digest" is not that of the files',
        10,
    ),
    (
        {"artifact": {"digest": DIGEST, "root": "../m", "files": {"m": DIGEST}}},
        "leaves the workspace",
        11,
    ),
    (
        {"artifact": {"digest": DIGEST, "root": "m", "files": {"../m": DIGEST}}},
        "leaves its folder",
        13,
    ),
]


def text_of(changes: dict[str, Any]) -> bytes:
    """Return a release with changes, a key a line."""
    return json.dumps({**GOOD, **changes}, indent=1).encode()


def test_the_release_that_the_bad_ones_are_made_from_is_good() -> None:
    """Each defect of the table is its own doing."""
    assert read_release(text_of({}), source="r").defects == ()


@pytest.mark.parametrize(("changes", "said", "line"), BAD)
def test_a_bad_release_says_what_and_where(changes: dict[str, Any], said: str, line: int) -> None:
    """Message and line of each thing that can be wrong."""
    found = read_release(text_of(changes), source="release.json")
    assert found.release is None
    assert any(said in one.message and one.line == line for one in found.defects), found.defects


def test_all_defects_are_said_at_once() -> None:
    """Who mends a file wants to do it once; a single read says how many there are."""
    bad = text_of({"component": "asrr", "created": "x", "typo": 1, "owner": 3})
    assert len(read_release(bad, source="r").defects) == 4
    with pytest.raises(InvalidInput, match=r"and 3 more: relkit registry validate"):
        parse_release(bad, source="r")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b"[]", "a mapping of keys to values was expected"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"a": NaN}', "NaN"),
    ],
)
def test_what_is_no_document_is_one_defect(data: bytes, said: str) -> None:
    """A broken file is reported like every other one."""
    found = read_release(data, source="release.json")
    assert [said in one.message for one in found.defects] == [True]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 300))
def test_no_bytes_make_the_reader_fail(junk: bytes, place: int) -> None:
    """Whatever stands in the file, there is a release or a defect."""
    good = text_of({})
    found = read_release(good[:place] + junk + good[place:], source="r")
    assert (found.release is None) == bool(found.defects)


def test_the_folder_of_releases_holds_no_release_of_the_tests() -> None:
    """The workspace that ships has schemas and no invented release."""
    folder = Path(__file__).resolve().parents[3] / "registry" / "releases"
    assert not list(folder.rglob("release.json"))
