"""What the commands about datasets print for people, and the documents of ``--json``."""

from collections.abc import Sequence

from relkit.core.codec import encode
from relkit.core.digests import JsonValue
from relkit.core.wording import columns, count, counted, number, safe, short_digest
from relkit.datasets.imports.rows import ImportSummary
from relkit.datasets.types import (
    DatasetSnapshot,
    DatasetVersion,
    DiffOutcome,
    SliceCoverage,
    StatsOutcome,
)

_MOST_IDS = 20

_LOCKS = {
    "none": "none (make one: relkit dataset lock NAME)",
    "fresh": "fresh",
    "stale": "stale: the manifest or the audio changed since",
}


def revision(version: DatasetVersion) -> str:
    """Return a dataset's commit in words, and whether the data changed since."""
    commit = short_digest(version.revision) if version.revision else "no revision"
    return commit + (", changed since" if version.dirty else "")


def stats_document(outcome: StatsOutcome) -> dict[str, JsonValue]:
    """Return the document of ``relkit dataset stats``."""
    version = outcome.snapshot.dataset.version
    overall, *slices = outcome.coverage
    return {
        "name": version.name,
        "revision": version.revision,
        "dirty": version.dirty,
        "digest": None if outcome.snapshot.audio is None else version.digest,
        "lock": outcome.snapshot.state,
        "audio_present": outcome.snapshot.present,
        "utterances": version.utterances,
        "clusters": overall.clusters,
        "cluster": outcome.snapshot.dataset.settings.ways.column,
        "subjects": version.subjects,
        "hours": outcome.seconds / 3600 if outcome.timed else None,
        "without_duration": version.utterances - outcome.timed,
        "words": outcome.text.words,
        "empty_references": outcome.text.empty,
        "shortest_reference": outcome.text.shortest,
        "longest_reference": outcome.text.longest,
        "untold": list(outcome.untold),
        "slices": [
            {
                "slice": item.slice,
                "utterances": item.utterances,
                "clusters": item.clusters,
                "minutes": None if item.seconds is None else item.seconds / 60,
            }
            for item in slices
        ],
    }


def stats_text(outcome: StatsOutcome) -> str:
    """Return what ``relkit dataset stats`` prints for people."""
    version, text = outcome.snapshot.dataset.version, outcome.text
    untimed = version.utterances - outcome.timed
    length = number(outcome.seconds / 3600, "hours") if outcome.timed else "length not known"
    without = f" ({untimed} without a duration)" if untimed else ""
    column = safe(outcome.snapshot.dataset.settings.ways.column)
    clusters = f"{counted(outcome.coverage[0].clusters, 'cluster')} ({column})"
    subjects = f"subjects: {version.subjects}"
    digest = "digest not known: the audio is not here" if outcome.snapshot.audio is None else None
    words = counted(text.words, "word")
    lines = [
        f"{safe(version.name)} ({revision(version)})",
        digest or version.digest,
        f"lock: {_LOCKS[outcome.snapshot.state]}"
        + ("" if outcome.snapshot.present else "; the audio is not here"),
        f"{counted(version.utterances, 'utterance')}, {length}{without}, {clusters}",
        subjects,
        f"{words}, {text.shortest} to {text.longest} a reference, {text.empty} empty",
        "",
        columns([["slice", "utterances", "clusters", "minutes"], *map(_row, outcome.coverage)]),
    ]
    if outcome.untold:
        lines += ["", f"not told by the manifest: {', '.join(map(safe, outcome.untold))}"]
    return "\n".join(lines)


def _row(item: SliceCoverage) -> list[str]:
    minutes = "" if item.seconds is None else number(item.seconds / 60, "minutes")
    return [safe(item.slice), count(item.utterances), count(item.clusters), minutes]


def diff_document(name: str, outcome: DiffOutcome) -> dict[str, JsonValue]:
    """Return the document of ``relkit dataset diff``."""
    changes = outcome.changes
    return {
        "name": name,
        "before": _version(outcome.before),
        "after": _version(outcome.after),
        "changed": changes.any,
        **encode(changes),
        "coverage": [
            {
                "slice": move.slice,
                "utterances": {"before": move.utterances[0], "after": move.utterances[1]},
                "clusters": {"before": move.clusters[0], "after": move.clusters[1]},
            }
            for move in changes.coverage
        ],
    }


def _version(snapshot: DatasetSnapshot) -> dict[str, JsonValue]:
    version = snapshot.dataset.version
    return {
        "revision": version.revision,
        "dirty": version.dirty,
        "digest": None if snapshot.audio is None else version.digest,
        "utterances": version.utterances,
        "lock": snapshot.state,
    }


def diff_text(name: str, outcome: DiffOutcome) -> str:
    """Return what ``relkit dataset diff`` prints for people."""
    changes = outcome.changes
    lines = [safe(name), _line("before", outcome.before), _line("after", outcome.after), ""]
    columns_of = {key: ", ".join(value) for key, value in changes.attributes.items()}
    consent = {key: f"{a} to {b}" for key, (a, b) in changes.consent.items()}
    lines += _listed("added", changes.added)
    lines += _listed("removed", changes.removed)
    lines += _listed("relabelled", changes.relabelled)
    lines += _listed("attributes", [f"{key} ({value})" for key, value in columns_of.items()])
    lines += _listed("consent", [f"{key} ({value})" for key, value in consent.items()])
    if changes.audio is None:
        lines.append("audio: not compared, a revision has no lock that says what it is")
    else:
        lines += _listed("audio", changes.audio)
    if changes.settings:
        lines.append(f"dataset.yaml: {', '.join(changes.settings)}")
    if not changes.any:
        lines.append("nothing else changed" if changes.audio is None else "nothing changed")
    rows = [
        [safe(m.slice), *(str(n) for n in m.utterances), *(str(n) for n in m.clusters)]
        for m in changes.coverage
        if m.utterances[0] != m.utterances[1] or m.clusters[0] != m.clusters[1]
    ]
    if rows:
        head = ["coverage", "utterances", "now", "clusters", "now"]
        lines += ["", columns([head, *rows])]
    return "\n".join(lines)


def _line(what: str, snapshot: DatasetSnapshot) -> str:
    version = snapshot.dataset.version
    utterances = counted(version.utterances, "utterance")
    lock = {"none": "no lock", "fresh": "locked", "stale": "the lock is stale"}[snapshot.state]
    digest = short_digest(version.digest) if snapshot.audio is not None else "digest not known"
    return f"{what:<7} {revision(version)}: {utterances}, {digest}, {lock}"


def _listed(what: str, ids: Sequence[str]) -> list[str]:
    if not ids:
        return []
    more = [f"  and {len(ids) - _MOST_IDS} more: --json has all"] if len(ids) > _MOST_IDS else []
    return [f"{what}: {len(ids)}", *(f"  {safe(item)}" for item in ids[:_MOST_IDS]), *more]


def import_text(summary: ImportSummary) -> str:
    """Return what ``relkit dataset import`` prints for people."""
    speakers = (
        "speakers not named" if summary.speakers is None else counted(summary.speakers, "speaker")
    )
    timed = "" if summary.timed == summary.utterances else f" known for {summary.timed} of them"
    size = f"{counted(summary.utterances, 'utterance')}, {speakers}, "
    size += f"{number(summary.hours, 'hours')}{timed}"
    lines = [
        f"dataset {summary.dataset}, from {summary.kind}: {size}",
        f"audio {'copied' if summary.audio == 'copied' else 'left where it is'}",
        f"slices: {', '.join(summary.slices) or 'none'}",
        "consent: " + ", ".join(f"{count} {word}" for word, count in summary.consent.items()),
    ]
    lines += [f"{count} left out: {reason}" for reason, count in summary.left_out.items()]
    if summary.unlisted_audio:
        lines.append(f"{summary.unlisted_audio} audio files are named by no entry: left out")
    lines += [f"column {old} is now {new}" for old, new in summary.renamed.items()]
    lines += [f"column {name} left out: {reason}" for name, reason in summary.dropped.items()]
    return "\n".join(safe(line) for line in [*lines, *summary.notes])
