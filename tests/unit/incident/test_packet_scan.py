"""Nothing that must stay stands in what goes out, in whatever encoding."""

import base64
import urllib.parse
from collections.abc import Callable

import pytest

from relkit.core.errors import InvalidInput
from relkit.disclosure.leaks import leak_token
from relkit.incident.packets.scan import hidden_names, refuse_leaks, unsaid_of
from relkit.registry.types import EventKind, ReleaseEvent

FILE = "i.packet.json"
SECRET = leak_token("/home/marigold/quicksilver", "folder of the workspace", where="it")
HIDDEN = (("a value of tenant", "Marigold Holdings"),)


def written(text: str) -> bytes:
    """Return a signed file with a text in its payload."""
    return b'{"payload":"' + base64.b64encode(text.encode()) + b'"}'


@pytest.mark.parametrize(
    "spelled",
    [str, str.upper, lambda text: text[::-1], urllib.parse.quote, lambda text: text.encode().hex()],
    ids=["plain", "case", "reversed", "url", "hex"],
)
def test_what_must_stay_is_refused_in_any_encoding(spelled: Callable[[str], str]) -> None:
    """A secret in either file, a hidden name in the packet; the message repeats neither."""
    for text, name in ((SECRET.value, FILE), (SECRET.value, "i.html"), (HIDDEN[0][1], FILE)):
        with pytest.raises(InvalidInput, match="must not leave") as refused:
            refuse_leaks({name: written(spelled(text))}, (SECRET,), HIDDEN, ())
        assert text not in str(refused.value.message)
        assert "marigold" not in str(refused.value.message).casefold()


def test_what_cannot_be_told_from_a_packet_is_passed_over() -> None:
    """Keys and enums of a packet, what is shown on purpose, and texts of a few letters."""
    said = ["accent=scottish", "release-candidate"]
    texts = [("a reason", text) for text in ("rolled_back", "Accent: Scottish", "it", "2.4")]
    texts += [("a reason", "release candidate")]
    out = written('{"kind":"rolled_back","slice":"accent=scottish","version":"release-candidate"}')
    refuse_leaks({FILE: out}, (SECRET,), texts, said)
    with pytest.raises(InvalidInput):
        refuse_leaks({FILE: out}, (), texts, said[1:])


def test_names_and_reasons_are_what_must_stay() -> None:
    """What has a pseudonym, by column; who did what in the ledger, and why."""
    assert hidden_names({"tenant-1": "tenant=a%26b", "column-1": "ward"}) == (
        ("a value of tenant", "a&b"),
        ("the name of a column", "ward"),
    )
    event = ReleaseEvent(
        model="asr",
        sequence=1,
        kind=EventKind.PROMOTED,
        version="2.4",
        at="2026-11-01T03:00:00Z",
        by="B. Marigold",
        reason="they asked for it",
        digest="sha256:" + "0" * 64,
    )
    assert {text for _, text in unsaid_of([event, event])} == {event.by, event.reason}
