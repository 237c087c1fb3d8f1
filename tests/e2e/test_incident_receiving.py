"""``relkit incident verify``, ``show``, ``resolve`` and ``open``, as those who get a packet."""

import base64
import json
import random
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from relkit.adapters.html import PacketPages
from relkit.adapters.incidents import IncidentStateFiles
from relkit.adapters.signing import SigningKey, load_private, load_public, make_key
from relkit.attestation.envelopes import Envelope, parse_envelope, render_envelope
from relkit.attestation.run import statement_file
from relkit.attestation.statements import render_statement
from relkit.core.digests import PREFIX, canonical, digest_of, sha256_bytes
from relkit.core.errors import InvalidInput
from relkit.disclosure.types import Commitment, HourSpan, Packet
from relkit.incident.packets.types import Opening
from relkit.incident.received.run import commitment_of, read_packet
from relkit.incident.received.verify import ReceivedPacket, verify_packet
from tests.conftest import Said, Workspace
from tests.packet_data import packet
from tests.packet_turns import ACCENTS, Responder
from tests.unit.attestation.test_packet_statements import SUMMARY

FLIPS = 1000
STEM = "INC-2026-11-29"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who signs, and the folder that the files are received in."""

    folder: Path
    key: SigningKey

    @property
    def public(self) -> str:
        """The path of the public key."""
        return str(self.folder / "relkit.pub")

    def send(self, content: Packet, name: str = STEM) -> Path:
        """Write a packet and its page as they are sent, and return the packet's path."""
        page = PacketPages().html(content).encode("utf-8")
        (self.folder / f"{name}.html").write_bytes(page)
        content = replace(content, page=sha256_bytes(page).removeprefix(PREFIX))
        path = self.folder / f"{name}.packet.json"
        path.write_bytes(statement_file(content, self.key))
        return path

    def sign(self, document: Any, name: str = STEM) -> Path:  # noqa: ANN401 - JSON
        """Write a statement as it is, signed."""
        path = self.folder / f"{name}.packet.json"
        envelope = Envelope(payload=canonical(document))
        path.write_bytes(render_envelope(self.key.sign(envelope)))
        return path


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    """Give somebody with a key."""
    folder = tmp_path / "received"
    private, _ = make_key(folder, {})
    return Sender(folder, load_private(private, {}))


def verified(workspace: Workspace, path: Path, sender: Sender, *options: str) -> Said:
    """Verify by the sender's key and return what was said as JSON."""
    return workspace.relkit(
        "incident", "verify", str(path), *options, "--key", sender.public, "--json"
    )


def codes(said: Said) -> list[str]:
    """Return the codes of the problems."""
    return [problem["code"] for problem in said.document["problems"]]


def test_a_packet_that_was_sent_is_valid(workspace: Workspace, sender: Sender) -> None:
    """With its page beside it, named or not; people read what it is and who signed it."""
    path = sender.send(packet())
    said = verified(workspace, path, sender)
    assert said.code == 0
    assert said.document == {
        "valid": True,
        "problems": [],
        "signer": sender.key.public.key,
        "window": {"from": "2026-11-29T12:00:00Z", "to": "2026-11-29T18:00:00Z"},
        "previous": None,
        "cells": 7,
    }
    page = path.with_name(f"{STEM}.html")
    arguments = ["incident", "verify", str(path), "--key", sender.public]
    text = workspace.relkit(*arguments).out
    assert "INC-2026-11-29.html is the page that was signed with it" in text
    moved = page.rename(page.with_name("elsewhere.html"))
    assert "its page was not looked at" in workspace.relkit(*arguments).out
    assert "elsewhere.html is the page" in workspace.relkit(*arguments, str(moved)).out


def test_a_receiver_needs_no_workspace_and_no_heavy_library(sender: Sender) -> None:
    """In an empty folder, and without pandas, mlflow, scipy, DuckDB or the network's libraries."""
    path = sender.send(packet())
    script = (
        "import sys; from relkit.cli.boundary import run;"
        f"code = run(['incident', 'verify', {str(path)!r}, '--key', {sender.public!r}]);"
        "heavy = {'pandas', 'mlflow', 'scipy', 'duckdb', 'pyarrow', 'httpx', 'jinja2'};"
        "sys.exit(code or (9 if heavy & set(sys.modules) else 0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=sender.folder, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_every_flipped_bit_is_refused(sender: Sender) -> None:
    """A thousand random bits of the file, each alone, and a hundred of the page."""
    path = sender.send(packet())
    data, page = path.read_bytes(), path.with_name(f"{STEM}.html").read_bytes()
    keys = (sender.key.public,)
    assert verify_packet(ReceivedPacket(data=data, page=page), keys).check.valid
    chance = random.Random(12)  # noqa: S311 - which bits is no secret

    def flipped(original: bytes, bit: int) -> bytes:
        changed = bytearray(original)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    bits = {*chance.sample(range(8 * len(data)), FLIPS), *range(8 * len(data))[-64:]}
    signed = parse_envelope(data, source="p").signatures[0]
    around = data.index(str(signed.key).encode())
    bits |= {*range(8 * around, 8 * (around + 4))}  # the hint of a key is not signed
    survivors = [
        bit
        for bit in sorted(bits)
        if verify_packet(ReceivedPacket(data=flipped(data, bit), page=page), keys).check.valid
    ]
    assert survivors == []
    for bit in chance.sample(range(8 * len(page)), 100):
        other = ReceivedPacket(data=data, page=flipped(page, bit))
        assert [p.code for p in verify_packet(other, keys).check.problems] == ["page"]


def test_page_and_packet_belong_together(workspace: Workspace, sender: Sender) -> None:
    """The page of another packet is named, and so is one that is no page or not there."""
    path = sender.send(packet())
    other = sender.send(packet(status="resolved"), name="other")
    page = other.with_name("other.html")
    assert codes(verified(workspace, path, sender, str(page))) == ["page"]
    assert verified(workspace, path, sender, str(page)).code == 1
    missing = verified(workspace, path, sender, str(page.with_name("no.html")))
    assert missing.code == 2
    assert "no.html" in missing.document["error"]["message"]
    page.write_bytes(b" " * (2**20 + 1))
    assert codes(verified(workspace, path, sender, str(page))) == ["too_large"]


def test_only_the_pinned_key_counts(workspace: Workspace, sender: Sender, tmp_path: Path) -> None:
    """Signed by another key, twice, by both, in another name, or not at all: each is refused."""
    path = sender.send(packet())
    private, _ = make_key(tmp_path / "other", {})
    other = load_private(private, {})
    envelope = parse_envelope(path.read_bytes(), source="p")
    bare = Envelope(payload=envelope.payload)
    named = replace(envelope.signatures[0], key=other.public.key)
    unnamed = replace(envelope.signatures[0], key=None)
    for changed, code in (
        (other.sign(bare), "signature"),
        (other.sign(envelope), "signatures"),
        (replace(envelope, signatures=envelope.signatures * 2), "signature"),
        (replace(envelope, signatures=(named,)), "signatures"),
        (replace(envelope, signatures=(unnamed,)), "signatures"),
        (bare, "unsigned"),
    ):
        path.write_bytes(render_envelope(changed))
        said = verified(workspace, path, sender)
        assert (said.code, codes(said), said.document["signer"]) == (1, [code], None)


def test_a_file_has_one_spelling(workspace: Workspace, sender: Sender) -> None:
    """The same JSON with other spaces, or another order in the signed part, is refused."""
    path = sender.send(packet())
    data = path.read_bytes()
    for changed in (data + b"\n", data[:-1], b" " + data, data.replace(b'","', b'", "', 1)):
        path.write_bytes(changed)
        assert codes(verified(workspace, path, sender)) == ["spelling"]
    payload = json.dumps(json.loads(render_statement(packet()))).encode()
    path.write_bytes(render_envelope(sender.key.sign(Envelope(payload=payload))))
    assert codes(verified(workspace, path, sender)) == ["spelling"]
    path.write_bytes(render_envelope(sender.key.sign(Envelope(payload=render_statement(SUMMARY)))))
    assert codes(verified(workspace, path, sender)) == ["kind"]


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("predicate", "notes"), "Ann called", 'unknown key "notes"'),
        (("predicate", "cells", 0, "count"), 512, 'unknown key "cells.0.count"'),
        (("predicate", "cells", 0, "people"), [500], '"cells.0.people"'),
        (("predicate", "incident"), "<script>", '"incident"'),
        (("predicate", "served", 0, "version"), "{{ 7 * 7 }}", '"served.0.version"'),
        (("predicate", "cause", "first_bad"), "=cmd|' /C calc'!A0", '"cause.first_bad"'),
        (("predicate", "rollback", "target"), "\x1b[31m", '"rollback.target"'),
        (("predicate", "schema"), "relkit.packet/v2", '"schema"'),
        (("subject", 0, "name"), "other.html", "the subject is not the page of the packet"),
        (("more",), 1, 'unknown key "more"'),
    ],
)
def test_a_form_that_is_not_listed_is_refused(
    workspace: Workspace, sender: Sender, path: tuple[Any, ...], value: object, where: str
) -> None:
    """Unknown keys and names of another form are refused although the right key has signed them."""
    document = json.loads(render_statement(packet()))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    said = verified(workspace, sender.sign(document), sender)
    assert codes(said) == ["schema"]
    assert said.document["problems"][0]["where"].startswith(where)
    text = workspace.relkit(
        "incident", "verify", str(sender.sign(document)), "--key", sender.public
    )
    assert text.code == 1
    assert "\x1b" not in text.out


def test_what_could_not_have_been_shown_is_refused(workspace: Workspace, sender: Sender) -> None:
    """The rules of disclosure control are held by the receiver, too."""
    path = sender.send(packet(k=5))
    said = verified(workspace, path, sender)
    assert (said.code, codes(said)) == (1, ["k"])
    assert said.document["cells"] == 7


def test_packets_are_checked_as_a_chain(workspace: Workspace, sender: Sender) -> None:
    """An update follows the packet that it names; another one before it is refused."""
    first = sender.send(packet())
    digest = parse_envelope(first.read_bytes(), source="p").digest
    window = HourSpan(from_="2026-11-29T18:00:00Z", to="2026-11-29T20:00:00Z")
    update = packet(stage="update", previous=digest, window=window, created="2026-11-29T20:01:00Z")
    second = sender.send(update, name="second")
    said = verified(workspace, second, sender, "--previous", str(first))
    assert (said.code, said.document["previous"]) == (0, digest)
    alone = workspace.relkit("incident", "verify", str(second), "--key", sender.public)
    assert (alone.code, "says it follows" in alone.out) == (0, True)
    other = sender.send(packet(status="open"), name="other")
    assert codes(verified(workspace, second, sender, "--previous", str(other))) == ["chain"]
    first.write_bytes(first.read_bytes()[:-2])
    assert "previous" in codes(verified(workspace, second, sender, "--previous", str(first)))


def test_summaries_of_decisions_are_signed_by_the_same_key(
    workspace: Workspace, sender: Sender, tmp_path: Path
) -> None:
    """One that is none, or of another key, is a finding; a good one is shown."""

    def summary(key: SigningKey) -> Any:  # noqa: ANN401 - JSON
        return json.loads(statement_file(SUMMARY, key))

    private, _ = make_key(tmp_path / "other", {})
    path = sender.send(packet(summaries=(summary(sender.key),)))
    assert verified(workspace, path, sender).code == 0
    assert "PASSED    asr-promotion" in workspace.relkit("incident", "show", str(path)).out
    wrong = (summary(load_private(private, {})), {"notes": "Ann called"})
    said = verified(workspace, sender.send(packet(summaries=wrong)), sender)
    assert codes(said) == ["summary_signature", "summary"]


def test_a_file_that_is_too_large_is_not_read(workspace: Workspace, sender: Sender) -> None:
    """Over 1 MiB nothing is parsed; a folder or nothing at all is one message."""
    path = sender.folder / "large.packet.json"
    path.write_bytes(b"[" * (2**20 + 1))
    assert codes(verified(workspace, path, sender)) == ["too_large"]
    assert workspace.relkit("incident", "show", str(path)).code == 2
    for name in ("", "missing.json"):
        said = verified(workspace, sender.folder / name, sender)
        assert said.code == 2
    path.write_bytes(b"\xff\x00 no packet")
    assert codes(verified(workspace, path, sender)) == ["envelope"]


def test_tokens_are_looked_for_in_packet_and_page(workspace: Workspace, sender: Sender) -> None:
    """Who sends one can ask whether a secret of his own is in it."""
    path = sender.send(packet())
    tokens = sender.folder / "tokens.txt"
    tokens.write_text("nobody=zyzzyva-9913-quux\n", encoding="utf-8")
    assert verified(workspace, path, sender, "--tokens", str(tokens)).code == 0
    tokens.write_text("id=INC-2026-11-29\n", encoding="utf-8")
    said = verified(workspace, path, sender, "--tokens", str(tokens))
    assert codes(said)[0] == "leak"
    assert {problem["where"] for problem in said.document["problems"]} == {"file: id", "page: id"}


def test_show_draws_the_page_again(workspace: Workspace, sender: Sender) -> None:
    """Byte for byte, so that the page that came need not be trusted; else it says so."""
    path = sender.send(packet())
    drawn = sender.folder / "drawn.html"
    said = workspace.relkit("incident", "show", str(path), "--html", str(drawn))
    assert (said.code, said.out) == (0, "")
    assert "byte for byte the page that was signed" in said.err
    assert drawn.read_bytes() == path.with_name(f"{STEM}.html").read_bytes()
    path.write_bytes(statement_file(packet(page="ab" * 32), sender.key))
    said = workspace.relkit("incident", "show", str(path), "--html", str(drawn))
    assert "not the bytes that were signed: relkit 0.1.0 drew those" in said.err


def test_show_prints_text_markdown_and_json(workspace: Workspace, sender: Sender) -> None:
    """The text fits a terminal; the document is the packet."""
    path = sender.send(packet())
    text = workspace.relkit("incident", "show", str(path)).out
    assert text.startswith("Release asr 2.4.0 made it worse on accent=scottish\n")
    assert max(map(len, text.split("\n"))) <= 80
    markdown = workspace.relkit("incident", "show", str(path), "--markdown").out
    assert markdown.startswith("# Release asr 2.4.0 made it worse on accent=scottish\n")
    document = workspace.relkit("incident", "show", str(path), "--json").document
    assert document["schema"] == "relkit.packet/v1"
    assert workspace.relkit("incident", "show", str(path), "--json", "--markdown").code == 2
    said = workspace.relkit("incident", "show", str(path))
    assert said.err == "nothing was verified: relkit incident verify PACKET --key PUB\n"
    assert workspace.relkit("incident", "show", str(path), "--quiet").err == ""


def test_pdf_without_its_library_is_one_message(
    workspace: Workspace, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the package, and what to do without it."""
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    target = sender.folder / "page.pdf"
    said = workspace.relkit("incident", "show", str(sender.send(packet())), "--pdf", str(target))
    assert (said.code, target.exists()) == (2, False)
    assert "pip install 'relkit-speech[pdf]'" in said.err
    assert "or print the HTML page from a browser" in said.err


def test_pdf_of_a_packet_is_drawn(workspace: Workspace, sender: Sender) -> None:
    """It is valid, holds the packet's page, and comes out the same twice."""
    path = str(sender.send(packet()))
    first, second = sender.folder / "first.pdf", sender.folder / "second.pdf"
    said = workspace.relkit("incident", "show", path, "--pdf", str(first))
    assert (said.code, said.out) == (0, "")
    assert said.err.startswith("wrote first.pdf\n")
    assert workspace.relkit("incident", "show", path, "--pdf", str(second)).code == 0
    data = first.read_bytes()
    assert (data[:5], data.rstrip()[-5:]) == (b"%PDF-", b"%%EOF")
    assert second.read_bytes() == data


def test_names_and_commitments_are_opened_where_the_packet_was_made(
    workspace: Workspace, sender: Sender
) -> None:
    """There alone; an auditor with an opening and the file needs no workspace."""
    material = sender.folder / "turns.jsonl"
    material.write_bytes(b'{"turn": 1}\n')
    digest, salt = sha256_bytes(material.read_bytes()), "5a" * 32
    opening = Opening(
        kind="telemetry",
        name="turns.jsonl",
        digest=digest,
        random=salt,
        sha256=commitment_of(salt, digest),
    )
    commitment = Commitment(kind="telemetry", sha256=opening.sha256)
    path = sender.send(packet(commitments=(commitment,)))
    resolve = ("incident", "resolve", str(path))
    open_ = ("incident", "open", str(path))
    for arguments in ((*resolve, "tenant-3fa2"), open_):
        said = workspace.relkit(*arguments)
        assert said.code == 2
        assert "was not made in this workspace" in said.err
    state = IncidentStateFiles(workspace.folder / ".relkit" / "incidents")
    state.keep_names(STEM, {"tenant-3fa2": "tenant=acme"})
    state.keep_openings(STEM, (opening,))
    state.keep_issued(STEM, STEM, path.read_bytes(), b"page")
    for name in ("tenant-3fa2", "tenant=tenant-3fa2", "noise=car&tenant=tenant-3fa2"):
        said = workspace.relkit(*resolve, name)
        assert (said.code, said.out) == (0, f"tenant-3fa2 of {STEM}: tenant=acme\n")
    assert workspace.relkit(*resolve, "tenant-0000").code == 2
    printed = workspace.relkit(*open_, "--json").document
    assert printed["openings"][0]["random"] == salt
    assert f"random {salt}" in workspace.relkit(*open_).out
    assert "is the telemetry" in workspace.relkit(*open_, "--file", str(material)).out
    audit = (*open_, "--file", str(material), "--random", salt)
    assert workspace.relkit(*audit).code == 0
    assert workspace.relkit(*audit[:-1], "5b" * 32).code == 1
    assert workspace.relkit(*audit[:-1], "5b").code == 2
    material.write_bytes(b'{"turn": 2}\n')
    assert workspace.relkit(*open_, "--file", str(material)).code == 1
    assert workspace.relkit(*audit).code == 1


def test_a_packet_of_the_same_name_from_elsewhere_opens_nothing(
    workspace: Workspace, sender: Sender
) -> None:
    """An incident of that name is here, but this packet is not one of it; nor is one called .."""
    state = IncidentStateFiles(workspace.folder / ".relkit" / "incidents")
    own = sender.send(packet())
    state.keep_names(STEM, {"tenant-3fa2": "tenant=acme"})
    state.keep_issued(STEM, STEM, own.read_bytes(), b"page")
    foreign = sender.send(packet(status="open"), name="foreign")
    for path in (foreign, sender.send(packet(incident=".."), name="dots")):
        assert workspace.relkit("incident", "resolve", str(path), "tenant-3fa2").code == 2


def test_a_packet_can_be_read_by_what_others_have(sender: Sender) -> None:
    """The page is a subject of an in-toto statement in DSSE, by its plain SHA-256."""
    path = sender.send(packet())
    envelope = json.loads(path.read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    page = path.with_name(f"{STEM}.html")
    digest = sha256_bytes(page.read_bytes()).removeprefix(PREFIX)
    assert statement["subject"] == [{"digest": {"sha256": digest}, "name": page.name}]
    key = load_public(sender.public, relative_to=Path())
    assert key.key == envelope["signatures"][0]["keyid"]
    assert read_packet(path)[1] == digest_of(statement)
    with pytest.raises(InvalidInput, match="not JSON"):
        read_packet(page)


def test_what_the_builder_sends_is_what_a_receiver_believes(workspace: Workspace) -> None:
    """A real packet, the one after it, and one of turns that lack a value: all of them hold."""
    accents = [None if n % 9 == 0 else ACCENTS[n % 4] for n in range(4800)]
    sent = Responder(workspace, accent=accents)
    assert sent.packet("--slice", "accent", "region", "tenant").code == 0
    first = sent.out / "incident-20261101T03Z.packet.json"
    update = sent.update(first.name.removesuffix(".packet.json"), "2026-11-01T09Z/2026-11-01T12Z")
    assert update.code == 0, update.err
    second = next(path for path in sent.out.glob("*.packet.json") if path != first)
    options = ("--key", str(sent.public), "--json")
    for path, previous in ((first, ()), (second, ("--previous", str(first)))):
        said = workspace.relkit("incident", "verify", str(path), *previous, *options)
        assert (said.document["problems"], said.code) == ([], 0)
        drawn = sent.folder / "drawn.html"
        shown = workspace.relkit("incident", "show", str(path), "--html", str(drawn))
        assert "byte for byte the page that was signed" in shown.err
    pseudonym = next(
        cell.slice for cell in read_packet(first)[0].cells if cell.slice.startswith("tenant=")
    )
    resolved = workspace.relkit("incident", "resolve", str(first), pseudonym)
    assert resolved.out.split(": ")[1].startswith("tenant=acme ")
    opened = workspace.relkit("incident", "open", str(first), "--file", str(sent.telemetry))
    assert (opened.code, "is the telemetry of" in opened.out) == (0, True)
