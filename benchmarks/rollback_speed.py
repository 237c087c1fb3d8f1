"""How long ``relkit rollback`` takes as a whole process, from a ledger of 1,000 releases.

Then rollback, history and verify with ledgers in which the same releases are promoted in turn.

The peer starts Python and reads the same ledger and records with plain ``json``: what any program
would have to do at least, without checking a chain, a schema or a rule.
"""

import sys
import tempfile
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from benchmarks.processes import in_turn
from relkit.adapters.releases import ArtifactFiles, ReleaseFiles
from relkit.adapters.workspace import scaffold_source, write_scaffold
from relkit.core.digests import sha256_bytes
from relkit.registry.ledger_files import rechained, render_anchor, render_ledger
from relkit.registry.promote import evidence_name
from relkit.registry.release_files import sealed
from relkit.registry.types import Artifact, EventKind, Interface, Release, ReleaseEvent

RUNS = 11
RELEASES = 1_000
LONG = (4_000, 20_000, 100_000)
LONG_RUNS = 3
SPEECH = Interface(sample_rate_hz=16_000, languages=("en",), label_schema="3")
PEER = """
import json, sys
from pathlib import Path
registry = Path(sys.argv[1])
events = [json.loads(line) for line in (registry / "events" / "asr.jsonl").open()]
newest = {event["version"]: event for event in events}
for version in sorted(newest)[-int(sys.argv[2]):]:
    json.loads((registry / "releases" / "asr" / version / "release.json").read_text())
print(len(events))
"""


def events_of(
    release: Release, decision: str, index: int, *, canary_steps: bool
) -> list[ReleaseEvent]:
    """Return the life of a release: registered, perhaps two canary steps, promoted."""
    base = ReleaseEvent(
        model=release.model,
        sequence=1,
        kind=EventKind.REGISTERED,
        version=release.version,
        at=f"20{20 + index // 300:02}-01-01T00:00:00Z",
        by="ci",
        digest="",
        previous=None,
        release=release.digest,
    )
    canary = replace(base, kind=EventKind.CANARY, decision=decision)
    shares = (0.05, 0.25) if index and canary_steps else ()
    steps = [replace(canary, traffic=share) for share in shares]
    promoted = replace(
        base, kind=EventKind.PROMOTED, traffic=1.0, decision=decision, attested="gate"
    )
    return [base, *steps, promoted]


def write_registry(
    folder: Path, *, worse: int, canary_steps: bool, length: int = 0, releases: int = RELEASES
) -> int:
    """Write a workspace whose newest ``worse`` releases are refused; return its events.

    With ``length``, releases are promoted again, in turn, until there are so many events.
    """
    write_scaffold(folder, scaffold_source())
    store = ReleaseFiles(folder / "registry" / "releases")
    artifacts = ArtifactFiles(folder, folder / ".relkit" / "cache" / "artifacts", store.read)
    events: list[ReleaseEvent] = []
    for index in range(releases):
        version = f"1.{index:04}.0"
        path = folder / "models" / version / "model.bin"
        path.parent.mkdir(parents=True)
        path.write_text(version)
        root, files, digest = artifacts.listing(f"models/{version}")
        release = sealed(
            Release(
                model="asr",
                version=version,
                component="asr",
                kind="files",
                digest="",
                created="2026-01-31T12:00:00Z",
                artifact=Artifact(digest=digest, root=root, files=files),
                interface=SPEECH,
                worse_slices=("accent=scottish",) if index >= releases - worse else (),
                owner="speech team",
                licence="Apache-2.0",
            )
        )
        store.write(release)
        evidence = f'{{"decision": {index}}}\n'.encode()
        decision = sha256_bytes(evidence)
        store.keep("asr", version, evidence_name("decision", decision), evidence)
        events += events_of(release, decision, index, canary_steps=canary_steps)
    promotions = [event for event in events if event.kind is EventKind.PROMOTED]
    events += islice(cycle(promotions), max(0, length - len(events)))
    chained = tuple(rechained(events))
    ledgers = folder / "registry" / "events"
    ledgers.mkdir()
    (ledgers / "asr.jsonl").write_bytes(render_ledger(chained))
    (ledgers / "asr.head").write_text(render_anchor(chained))
    return len(chained)


def long_ledgers(folder: Path, relkit: Path) -> None:
    """Print the times of long ledgers."""
    print(f"ledgers of {RELEASES} releases, whole process, median of {LONG_RUNS}")
    for length in LONG:
        workspace = folder / f"long {length}"
        write_registry(workspace, worse=1, canary_steps=False, length=length)
        registry = workspace / "registry"
        verbs = ("rollback", "asr"), ("registry", "history", "asr"), ("registry", "verify", "asr")
        commands = [
            tuple(map(str, (relkit, *verb, "--json", "--workspace", workspace))) for verb in verbs
        ]
        peer = tuple(map(str, (sys.executable, folder / "peer.py", registry, 2)))
        bare, start, *times = in_turn((peer, (relkit, "--help"), *commands), LONG_RUNS)
        print(f"  {length} events, {(registry / 'events' / 'asr.jsonl').stat().st_size >> 20} MiB")
        print(f"    plain json reads the same files   {bare:.3f} s")
        print(f"    relkit --help                     {start:.3f} s")
        for verb, seconds in zip(verbs, times, strict=True):
            print(f"    relkit {' '.join(verb):<26} {seconds:.3f} s   {seconds / bare:.1f} x json")


def main() -> None:
    """Print the table."""
    relkit = Path(sys.executable).with_name("relkit")
    print(f"rollback from {RELEASES} releases, whole process, median of {RUNS}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "peer.py").write_text(PEER)
        for title, worse, canary_steps in (
            ("the one before, promoted at once", 1, False),
            ("the one before, after two canary steps", 1, True),
            ("100 refused first, promoted at once", 100, False),
        ):
            workspace = folder / title
            events = write_registry(workspace, worse=worse, canary_steps=canary_steps)
            asked = ("rollback", "asr", "--slice", "accent=scottish", "--json")
            command = tuple(map(str, (relkit, *asked, "--workspace", workspace)))
            registry = workspace / "registry"
            peer = tuple(map(str, (sys.executable, folder / "peer.py", registry, worse + 1)))
            bare, start, own = in_turn((peer, (relkit, "--help"), command), RUNS)
            print(f"  {title}, {events} events")
            print(f"    plain json reads the same files   {bare:.3f} s")
            print(f"    relkit --help                     {start:.3f} s")
            print(f"    relkit rollback                   {own:.3f} s   {own / bare:.1f} x json")
        long_ledgers(folder, relkit)


if __name__ == "__main__":
    main()
