"""``relkit dataset lock``."""

from typing import Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe, say


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name.")],
    *,
    common: Common,
) -> None:
    """Put the audio under DVC and record the version.

    The manifest stays in git. Nothing is committed or pushed.
    Example: relkit dataset lock assistant-commands
    """
    from relkit import wiring
    from relkit.wiring.dataset_versions import lock_dataset

    settings = wiring.settings(common.start)
    outcome = lock_dataset(settings, name)
    lock = outcome.lock
    if outcome.initialised:
        say("set up DVC in the workspace", quiet=common.quiet)
    if outcome.untracked:
        say(f"took {outcome.untracked} audio files out of git's index; they stay where they are")
    if outcome.untold:
        columns = ", ".join(safe(column) for column in outcome.untold)
        say(f"relkit: warning: the manifest does not tell the values of {columns}")
    if common.as_json:
        print_json(
            {
                "name": lock.name,
                "digest": lock.digest,
                "utterances": lock.utterances,
                "slices": {column: list(values) for column, values in lock.registered.items()},
                "audio": dict(lock.outs),
                "changed": outcome.changed,
                "untracked": outcome.untracked,
                "initialised": outcome.initialised,
            }
        )
        return
    put(
        f"{safe(name)}: {lock.utterances} utterances, {len(lock.audio)} audio files\n"
        f"{lock.digest}" + ("" if outcome.changed else "\nunchanged: the lock said so already")
    )
    folder = settings.datasets.relative_to(settings.workspace) / name
    push = "dvc push" if outcome.remote else "dvc remote add -d NAME URL && dvc push"
    say(f"next: git add {folder} && git commit, then: {push}", quiet=common.quiet)
