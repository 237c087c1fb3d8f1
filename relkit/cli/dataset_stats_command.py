"""``relkit dataset stats``."""

from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe

if TYPE_CHECKING:
    from relkit.records.digests import JsonValue
    from relkit.rules.dataset_changes import SliceCoverage
    from relkit.workflows.dataset_versions import StatsOutcome

_LOCKS = {
    "none": "none (make one: relkit dataset lock NAME)",
    "fresh": "fresh",
    "stale": "stale: the manifest or the audio changed since",
}


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name.")],
    *,
    common: Common,
) -> None:
    """Show slices, speakers and coverage.

    Lengths are those of the manifest. Example: relkit dataset stats assistant-commands
    """
    from relkit import wiring
    from relkit.wiring.dataset_versions import dataset_stats

    outcome = dataset_stats(wiring.settings(common.start), name)
    if common.as_json:
        print_json(_document(outcome))
    else:
        put(_text(outcome))


def _document(outcome: "StatsOutcome") -> dict[str, "JsonValue"]:
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
        "cluster": outcome.snapshot.dataset.cluster,
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


def _text(outcome: "StatsOutcome") -> str:
    from relkit.cli.tables import columns

    version, text = outcome.snapshot.dataset.version, outcome.text
    untimed = version.utterances - outcome.timed
    length = f"{outcome.seconds / 3600:.2f} hours" if outcome.timed else "length not known"
    without = f" ({untimed} without a duration)" if untimed else ""
    column = safe(outcome.snapshot.dataset.cluster)
    clusters = f"{outcome.coverage[0].clusters} clusters ({column})"
    where = version.revision[:12] if version.revision else "no revision"
    state = ", changed since" if version.dirty else ""
    digest = "digest not known: the audio is not here" if outcome.snapshot.audio is None else None
    lines = [
        f"{safe(version.name)} ({where}{state})",
        digest or version.digest,
        f"lock: {_LOCKS[outcome.snapshot.state]}"
        + ("" if outcome.snapshot.present else "; the audio is not here"),
        f"{version.utterances} utterances, {length}{without}, {clusters}",
        f"{text.words} words, {text.shortest} to {text.longest} a reference, {text.empty} empty",
        "",
        columns([["slice", "utterances", "clusters", "minutes"], *map(_row, outcome.coverage)]),
    ]
    if outcome.untold:
        lines += ["", f"not told by the manifest: {', '.join(map(safe, outcome.untold))}"]
    return "\n".join(lines)


def _row(item: "SliceCoverage") -> list[str]:
    minutes = "" if item.seconds is None else f"{item.seconds / 60:.1f}"
    return [safe(item.slice), str(item.utterances), str(item.clusters), minutes]
