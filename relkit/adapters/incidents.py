"""What a workspace keeps of its incidents: a folder each below ``.relkit/incidents``, of one owner.

``key`` (32 bytes in hexadecimal), ``names.json``, ``openings.json``, the triages that packets rest
on below ``triage``, and the packets as they went out below ``packets``. Only who made a packet can
translate its pseudonyms and open its commitments: all of it is readable by its owner only, and none
of it leaves.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from relkit.attestation.envelopes import parse_envelope
from relkit.attestation.statements import parse_content
from relkit.core import storage
from relkit.core.codec import decode, encode, parse, parse_json
from relkit.core.errors import InvalidInput, StorageFailed
from relkit.disclosure.types import Packet
from relkit.incident.packets.types import (
    PACKET_ENDING,
    IncidentNames,
    IncidentOpenings,
    IssuedPacket,
    Opening,
)

_PRIVATE = 0o700
_PRIVATE_FILE = 0o600
_BACKUP = "put back the one of a backup: packets that are out depend on it"


def _compact(at: str) -> str:
    """Return a time as it stands in a file's name, in the order of time."""
    return at.replace("-", "").replace(":", "")


class IncidentStateFiles:
    """Implements Incidents."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made when an incident is."""
        self._folder = folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold all incidents for the block; raises Busy where another process does."""
        with storage.lock_file(self._folder / "lock", what="the state of incidents"):
            yield

    def incidents(self) -> tuple[str, ...]:
        """Return the incidents that there are, by name."""
        if not self._folder.is_dir():
            return ()
        return tuple(sorted(path.name for path in self._folder.iterdir() if path.is_dir()))

    def key(self, incident: str) -> bytes:
        """Return the key of an incident, made on first use; raises InvalidInput, StorageFailed.

        Where packets are out none is made: the same name would have another pseudonym from then on.
        """
        folder = self._private(incident)
        path = folder / "key"
        if not path.exists() and any((folder / "packets").glob(f"*{PACKET_ENDING}")):
            raise InvalidInput("the key of the incident: no such file", hint=_BACKUP)
        return storage.secret_bytes(
            path,
            make=True,
            what="the key of the incident",
            absent=_BACKUP,
            exposed=InvalidInput(
                "the key of the incident: others can read it, and open its pseudonyms",
                hint=f"chmod 600 .relkit/incidents/{incident}/key",
            ),
            broken=InvalidInput("the key of the incident: is no key", hint=_BACKUP),
        )

    def names(self, incident: str) -> dict[str, str]:
        """Return pseudonym to what it stands for, empty before there are any."""
        data = self._read(incident, "names.json")
        if data is None:
            return {}
        document = parse_json(decode(data, source="names.json"), source="names.json")
        return dict(parse(IncidentNames, document, source="names.json").names)

    def keep_names(self, incident: str, names: Mapping[str, str]) -> None:
        """Write the names of an incident in place of those before; raises StorageFailed."""
        self._write(
            incident, "names.json", encode(IncidentNames(names=dict(sorted(names.items()))))
        )

    def openings(self, incident: str) -> tuple[Opening, ...]:
        """Return what the commitments of an incident are opened with."""
        data = self._read(incident, "openings.json")
        if data is None:
            return ()
        document = parse_json(decode(data, source="openings.json"), source="openings.json")
        return parse(IncidentOpenings, document, source="openings.json").openings

    def keep_openings(self, incident: str, openings: Sequence[Opening]) -> None:
        """Write the openings of an incident in place of those before; raises StorageFailed."""
        self._write(incident, "openings.json", encode(IncidentOpenings(openings=tuple(openings))))

    def triage(self, incident: str, at: str) -> tuple[str, bytes] | None:
        """Return the name and bytes of the last triage that was kept for a window up to ``at``."""
        folder = self._folder / incident / "triage"
        kept_until = sorted(path for path in folder.glob("*.json") if path.stem <= _compact(at))
        if not kept_until:
            return None
        name = kept_until[-1].name
        return name, storage.read_bytes(kept_until[-1], what=name, hint=_BACKUP)

    def keep_triage(self, incident: str, at: str, data: bytes) -> None:
        """Write the report of the triage that the packet of a window rests on."""
        path = self._private(incident) / "triage" / f"{_compact(at)}.json"
        storage.write_bytes(path, data)
        path.chmod(_PRIVATE_FILE)

    def issued(self, incident: str) -> tuple[IssuedPacket, ...]:
        """Return the packets of an incident that are out, the first hours first."""
        folder = self._folder / incident / "packets"
        packets = []
        for path in sorted(folder.glob(f"*{PACKET_ENDING}")) if folder.is_dir() else ():
            data = storage.read_bytes(path, what=path.name)
            envelope = parse_envelope(data, source=path.name)
            packets.append(
                IssuedPacket(
                    name=path.name.removesuffix(PACKET_ENDING),
                    digest=envelope.digest,
                    packet=parse_content(envelope.payload, Packet, source=path.name),
                    data=data,
                )
            )
        return tuple(sorted(packets, key=lambda issued: issued.packet.window.from_))

    def page(self, incident: str, name: str) -> bytes:
        """Return the page of a packet that is out; raises InvalidInput."""
        path = self._folder / incident / "packets" / f"{name}.html"
        return storage.read_bytes(path, what=path.name, hint=_BACKUP)

    def keep_issued(self, incident: str, name: str, data: bytes, page: bytes) -> None:
        """Write a packet and its page as they are about to go out; raises StorageFailed."""
        folder = self._private(incident) / "packets"
        storage.write_bytes(folder / f"{name}.html", page)
        storage.write_bytes(folder / f"{name}{PACKET_ENDING}", data)

    def _private(self, incident: str) -> Path:
        """Return the folder of an incident, made so that its owner alone can look into it."""
        folder = self._folder / incident
        try:
            folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            folder.chmod(_PRIVATE)
            ignoring = self._folder / ".gitignore"
            if not ignoring.exists():  # the workspace may have none, which `git add` would obey
                ignoring.write_text("*\n", encoding="ascii")
        except OSError as error:
            raise StorageFailed(
                f"cannot make the folder of an incident: {os.strerror(error.errno or 0)}",
                hint="check the permissions of the folder",
            ) from error
        return folder

    def _read(self, incident: str, name: str) -> bytes | None:
        path = self._folder / incident / name
        return storage.read_bytes(path, what=name, hint=_BACKUP) if path.exists() else None

    def _write(self, incident: str, name: str, document: Mapping[str, object]) -> None:
        path = self._private(incident) / name
        with storage.replacing(path) as temporary:
            text = json.dumps(document, ensure_ascii=False, indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")
        path.chmod(_PRIVATE_FILE)
