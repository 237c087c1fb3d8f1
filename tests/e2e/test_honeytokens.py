"""Tokens in every place where people's data lies: none is in anything that relkit shows or shares.

``tests/honeytokens.py`` plants them and runs the commands, as in a public CI (``ci: shared``).
"""

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pytest

from tests.honeytokens import PLACES, SEARCH, Hive, planted, run_all, token

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Places whose token may be in a stream of commands, and why."""

    commands: tuple[str, ...]
    stream: str
    places: tuple[str, ...]
    reason: str


MACHINE = "who sits at the machine sees their own slices; docs/privacy.md, CI"
INTERNAL = "ci: internal is for the team, which knows its slices and ids"

ALLOWED = (
    Allowed(
        commands=(
            "eval", "eval --json", "eval, tracked", "rescore", "gate", "gate --json", "gate --plan",
            "compare", "compare --json", "dataset stats", "dataset candidates", "drift profile",
            "canary --json", "cost", "cost --json", "slo --json",
        ),
        stream="stdout",
        places=("slice value",),
        reason=MACHINE,
    ),
    Allowed(
        commands=("health", "health --json"),
        stream="stdout",
        places=("tenant",),
        reason="the policy names the column whose classes it watches; pseudonyms where shared",
    ),
    Allowed(
        commands=("compare", "compare --json"),
        stream="stdout",
        places=("utterance id", "speaker"),
        reason="flips are listed by id and speaker, so that the team can listen to them",
    ),
    Allowed(
        commands=("dataset check", "dataset candidates"),
        stream="stdout",
        places=("utterance id",),
        reason="what to repair or review is listed by id, and by nothing else",
    ),
    Allowed(
        commands=("registry history",),
        stream="stdout",
        places=("by", "reason"),
        reason="the ledger is asked for; who did what and why is what it keeps",
    ),
    Allowed(
        commands=("eval, tracked",),
        stream="MLflow",
        places=("slice value",),
        reason="metrics of slices are called by them on the team's own server",
    ),
    Allowed(
        commands=("internal: report", "internal: report --with-text"),
        stream="html",
        places=("slice value", "utterance id"),
        reason=INTERNAL,
    ),
    Allowed(
        commands=("internal: gate",), stream="*", places=("slice value",), reason=INTERNAL
    ),
    Allowed(
        commands=("internal: report --with-text",),
        stream="html",
        places=("transcript", "answer"),
        reason="the error explorer, which is asked for, and says that the page holds transcripts",
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def hive(tmp_path_factory: pytest.TempPathFactory) -> Hive:
    """Give a workspace with a token in every place, in which every command was run."""
    return run_all(tmp_path_factory.mktemp("honey"))


def test_no_token_is_in_anything_that_is_shared(hive: Hive) -> None:
    """Streams, pages, packets, JUnit, summaries, tracebacks, file names: in no encoding."""
    used = Counter[Allowed]()
    leaks = []
    for leak in hive.leaks():
        allowed = next(
            (
                item
                for item in ALLOWED
                if leak.command in item.commands
                and fnmatchcase(leak.stream, item.stream)
                and leak.place in item.places
            ),
            None,
        )
        if allowed is None:
            leaks.append(leak)
        else:
            used[allowed] += 1
    assert not leaks
    # What is allowed and does not happen any more would let a leak through.
    assert not [item for item in ALLOWED if not used[item]]


def test_every_token_was_within_reach(hive: Hive) -> None:
    """Each lies in the workspace, but for those of the surroundings, which were used."""
    outside = {"environment", "endpoint error", "MLflow tag", "commit message"}
    assert planted(hive) == set(PLACES) - outside
    assert len({token(place) for place in PLACES}) == len(PLACES) == len(SEARCH.tokens)


def test_every_command_did_its_work(hive: Hive) -> None:
    """A command that is refused shows nothing, and proves nothing; a crash is 70."""
    crashes = {label: code for label, code in hive.codes.items() if label.startswith("crash")}
    assert len(crashes) >= 4
    assert set(crashes.values()) == {70}
    refused = {label for label, code in hive.codes.items() if code in {2, 4}}
    assert refused <= {"bisect"}, "with two releases there is nothing to bisect"
    assert hive.codes["incident verify"] == 0
    shared = {"xml", "md", "html", "packet.json", "file name"}
    assert shared <= {output.stream for output in hive.outputs}
    tracebacks = [
        output.data.decode()
        for output in hive.outputs
        if output.command in crashes and output.stream == "stderr"
    ]
    assert all("relkit/cli/app.py" in text for text in tracebacks)
    assert all("tests.honeytokens.Crash" in text for text in tracebacks)


def test_tracebacks_name_no_folder(hive: Hive) -> None:
    """Where Python and relkit are installed is nobody's business."""
    for output in hive.outputs:
        if output.command.startswith("crash"):
            assert b'File "/' not in output.data
