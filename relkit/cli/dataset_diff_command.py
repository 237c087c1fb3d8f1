"""``relkit dataset diff``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe

if TYPE_CHECKING:
    from relkit.domain.dataset_versions import DatasetSnapshot
    from relkit.records.digests import JsonValue
    from relkit.workflows.dataset_versions import DiffOutcome

_SHOWN = 20


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name.")],
    before: Annotated[str, typer.Argument(metavar="REV", help="A git revision.")],
    after: Annotated[
        str | None,
        typer.Argument(metavar="REV", help="Another one (default: the working tree)."),
    ] = None,
    *,
    common: Common,
) -> None:
    """Say what changed between two revisions.

    Ids only, no text; no audio is fetched.
    Example: relkit dataset diff assistant-commands HEAD~1 HEAD
    """
    from relkit import wiring
    from relkit.wiring.dataset_versions import diff_dataset

    outcome = diff_dataset(wiring.settings(common.start), name, before, after)
    if common.as_json:
        print_json(_document(name, outcome))
    else:
        put(_text(name, outcome))


def _document(name: str, outcome: "DiffOutcome") -> dict[str, "JsonValue"]:
    found = outcome.changes
    return {
        "name": name,
        "before": _version(outcome.before),
        "after": _version(outcome.after),
        "changed": found.any,
        "settings": list(found.settings),
        "added": list(found.added),
        "removed": list(found.removed),
        "relabelled": list(found.relabelled),
        "attributes": {key: list(columns) for key, columns in found.attributes.items()},
        "consent": {key: list(values) for key, values in found.consent.items()},
        "audio_changed": None if found.audio is None else list(found.audio),
        "coverage": [
            {
                "slice": move.slice,
                "utterances": {"before": move.utterances[0], "after": move.utterances[1]},
                "clusters": {"before": move.clusters[0], "after": move.clusters[1]},
            }
            for move in found.coverage
        ],
    }


def _version(snapshot: "DatasetSnapshot") -> dict[str, "JsonValue"]:
    version = snapshot.dataset.version
    return {
        "revision": version.revision,
        "dirty": version.dirty,
        "digest": None if snapshot.audio is None else version.digest,
        "utterances": version.utterances,
        "lock": snapshot.state,
    }


def _text(name: str, outcome: "DiffOutcome") -> str:
    from relkit.cli.tables import columns

    found = outcome.changes
    lines = [safe(name), _line("before", outcome.before), _line("after", outcome.after), ""]
    columns_of = {key: ", ".join(value) for key, value in found.attributes.items()}
    consent = {key: f"{a} to {b}" for key, (a, b) in found.consent.items()}
    lines += _ids("added", found.added)
    lines += _ids("removed", found.removed)
    lines += _ids("relabelled", found.relabelled)
    lines += _ids("attributes", [f"{key} ({value})" for key, value in columns_of.items()])
    lines += _ids("consent", [f"{key} ({value})" for key, value in consent.items()])
    if found.audio is None:
        lines.append("audio: not compared, a revision has no lock that says what it is")
    else:
        lines += _ids("audio", found.audio)
    if found.settings:
        lines.append(f"dataset.yaml: {', '.join(found.settings)}")
    if not found.any:
        lines.append("nothing else changed" if found.audio is None else "nothing changed")
    rows = [
        [safe(m.slice), *(str(n) for n in m.utterances), *(str(n) for n in m.clusters)]
        for m in found.coverage
        if m.utterances[0] != m.utterances[1] or m.clusters[0] != m.clusters[1]
    ]
    if rows:
        head = ["coverage", "utterances", "now", "clusters", "now"]
        lines += ["", columns([head, *rows])]
    return "\n".join(lines)


def _line(what: str, snapshot: "DatasetSnapshot") -> str:
    version = snapshot.dataset.version
    where = version.revision[:12] if version.revision else "no revision"
    state = ", changed since" if version.dirty else ""
    lock = {"none": "no lock", "fresh": "locked", "stale": "the lock is stale"}[snapshot.state]
    digest = version.digest[:19] if snapshot.audio is not None else "digest not known"
    return f"{what:<7} {where}{state}: {version.utterances} utterances, {digest}, {lock}"


def _ids(what: str, ids: Sequence[str]) -> list[str]:
    if not ids:
        return []
    more = [f"  and {len(ids) - _SHOWN} more: --json has all"] if len(ids) > _SHOWN else []
    return [f"{what}: {len(ids)}", *(f"  {safe(item)}" for item in ids[:_SHOWN]), *more]
