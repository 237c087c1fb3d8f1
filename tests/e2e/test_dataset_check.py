"""``relkit dataset check`` from end to end, and what evaluations make of it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import soundfile

from tests.builders import commit_all, git, write_dataset
from tests.conftest import Said, Workspace
from tests.fakes import write_tone

Row = dict[str, Any]
WORDS = ("stop", "go on", "turn it off", "play some jazz", "what time is it", "call the office")
RATE = 16_000
SPLIT = {"relkit": {"split": "subset"}}

LISTENER = """\
import json, sys
with open("asked.txt", "a") as asked:
    for line in sys.stdin:
        item = json.loads(line)
        print(item["audio"], file=asked, flush=True)
        print(json.dumps({"id": item["id"], "text": "stop"}), flush=True)
"""


def rows() -> list[Row]:
    """Return the rows of a small clean dataset: two splits of two speakers and three texts."""
    return [
        {
            "audio_filepath": f"audio/{i:02}.wav",
            "id": f"u{i:02}",
            "duration": 0.5 + i / 100,
            "text": WORDS[i % 3 + 3 * (i // 6)],
            "speaker": f"s{i // 3}",
            "accent": ("plain", "broad")[i // 3 % 2],
            "subset": ("train", "test")[i // 6],
            "consent": "granted",
        }
        for i in range(12)
    ]


class Write(Protocol):
    """Writes the dataset ``words`` and returns its folder."""

    def __call__(self, given: list[Row], settings: str = "slices: [accent]\n") -> Path:
        """Write these rows, and audio where there is none yet."""
        ...


@pytest.fixture
def words(workspace: Workspace) -> Write:
    """Give a function that writes the dataset ``words`` into the workspace, with real audio."""

    def write(given: list[Row], settings: str = "slices: [accent]\n") -> Path:
        folder = workspace.folder / "datasets" / "words"
        write_dataset(folder, given, settings, audio=False)
        (folder / "audio").mkdir(exist_ok=True)
        for i, item in enumerate(given):
            path = folder / item["audio_filepath"]
            if not path.exists():
                write_tone(path, seconds=0.5 + i / 100)
        return folder

    return write


def expect(kind: str, **given: Any) -> Row:  # noqa: ANN401  # any argument
    """Return an expectation as a contract writes it."""
    own = given.pop("own", {})
    severity = given.pop("severity", "critical")
    return {
        "type": f"expect_{kind}",
        "kwargs": given,
        "meta": {"relkit": own},
        "severity": severity,
    }


def at_most(column: str, most: float, **given: Any) -> Row:  # noqa: ANN401  # any argument
    """Return the expectation that no value of a column is larger."""
    return expect("column_values_to_be_between", column=column, max_value=most, **given)


def among(column: str, *values: object) -> Row:
    """Return the expectation that a column has these values only."""
    return expect("column_values_to_be_in_set", column=column, value_set=list(values))


CLEAN = [
    expect("table_columns_to_match_set", column_set=["id", "speaker"], exact_match=False),
    expect("column_values_to_be_unique", column="id"),
    at_most("text_control_characters", 0),
    at_most("text_double_spaces", 0),
    among("text_outer_spaces", *[False]),
    among("text_nfc", *[True]),
    at_most("text_characters", 40),
    expect("column_values_to_match_regex", column="text", regex="^[a-z\u00e9 ]*$"),
    among("audio_state", "ok"),
    among("audio_sample_rate", RATE),
    at_most("duration_difference", 0.005),
    at_most("audio_clipped_share", 0.001),
    at_most("audio_silence_share", 0.5),
    among("accent", "plain", "broad"),
    among("consent", "granted"),
    expect("column_values_to_be_between", column="speakers", min_value=2, own={"table": "slices"}),
    at_most("leak_audio", 0),
    at_most("leak_speaker", 0),
    at_most("leak_text", 0),
]


def write_contract(
    folder: Path, expectations: list[Row], meta: Mapping[str, Any] | None = SPLIT
) -> None:
    """Write a dataset's contract."""
    document = {"name": "words", "expectations": expectations, "meta": meta}
    (folder / "contract.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def broken(said: Said) -> dict[str, list[str]]:
    """Return what failed: column to the ids that are named."""
    assert said.code == 1, said.err
    document = said.document
    assert document["outcome"] == "failed"
    return {
        item["column"]: item["ids"]
        for item in document["expectations"]
        if item["outcome"] == "failed"
    }


def change(index: int, **columns: object) -> Callable[[list[Row]], None]:
    """Return an edit of one row."""
    return lambda given: given[index].update(columns)


def rewrite(index: int, samples: Any, rate: int = RATE) -> Callable[[Path], None]:  # noqa: ANN401  # an array
    """Return an edit of one audio file."""
    return lambda folder: soundfile.write(folder / f"audio/{index:02}.wav", samples, rate)


def copy(source: int, target: int) -> Callable[[Path], None]:
    """Return an edit that makes one recording a copy of another."""

    def edit(folder: Path) -> None:
        data = (folder / f"audio/{source:02}.wav").read_bytes()
        (folder / f"audio/{target:02}.wav").write_bytes(data)

    return edit


TONE = np.sin(np.arange(RATE // 2) * 0.17)


@pytest.mark.parametrize(
    ("edit", "failures"),
    [
        (None, {}),
        (change(3, text="stop\u0007"), {"text_control_characters": ["u03"], "text": ["u03"]}),
        (change(3, text="go  on"), {"text_double_spaces": ["u03"]}),
        (change(3, text="stop "), {"text_outer_spaces": ["u03"]}),
        (change(3, text="cafe\u0301"), {"text_nfc": ["u03"], "text": ["u03"]}),
        (change(3, text="a" * 41), {"text_characters": ["u03"]}),
        (change(3, text="Stop"), {"text": ["u03"]}),
        (change(3, duration=0.6), {"duration_difference": ["u03"]}),
        (change(3, accent="brod"), {"accent": ["u03"], "speakers": ["accent=brod"]}),
        (change(3, consent="revoked"), {"consent": ["u03"]}),
        (
            change(3, speaker="s2", accent="plain"),
            {"leak_speaker": ["u03", "u06", "u07", "u08"]},
        ),
        (change(3, text="play some jazz!"), {"leak_text": ["u03", "u06", "u09"], "text": ["u03"]}),
    ],
)
def test_each_defect_of_the_rows_is_found_and_named(
    workspace: Workspace,
    words: Write,
    edit: Callable[[list[Row]], None] | None,
    failures: dict[str, list[str]],
) -> None:
    """A broken row breaks the expectation that is about it, and no other."""
    given = rows()
    if edit is not None:
        edit(given)
    write_contract(words(given), CLEAN)
    said = workspace.relkit("dataset", "check", "words", "--json")
    if not failures:
        assert (said.code, said.document["outcome"]) == (0, "passed"), said.out
        assert said.document["declared"] == said.document["evaluated"] == len(CLEAN)
        return
    assert broken(said) == failures


@pytest.mark.parametrize(
    ("edit", "failures"),
    [
        (rewrite(2, np.clip(TONE * 4, -1, 1)), {"audio_clipped_share": ["u02"]}),
        (rewrite(2, TONE * 1e-5), {"audio_silence_share": ["u02"]}),
        (rewrite(2, TONE[:4000] * 0.5, 8_000), {"audio_sample_rate": ["u02"]}),
        (
            lambda folder: (folder / "audio" / "02.wav").write_bytes(b""),
            {"audio_state": ["u02"]},
        ),
        (lambda folder: (folder / "audio" / "02.wav").unlink(), {"audio_state": ["u02"]}),
        (copy(0, 6), {"leak_audio": ["u00", "u06"]}),
    ],
)
def test_each_defect_of_the_audio_is_found_and_named(
    workspace: Workspace,
    words: Write,
    edit: Callable[[Path], object],
    failures: dict[str, list[str]],
) -> None:
    """Recordings are decoded and measured, not believed."""
    folder = words(rows())
    edit(folder)
    wanted = [item for item in CLEAN if item["kwargs"].get("column") != "duration_difference"]
    write_contract(folder, wanted)
    assert broken(workspace.relkit("dataset", "check", "words", "--json")) == failures


@pytest.mark.parametrize(
    ("expectations", "meta", "problem"),
    [
        ([], None, "the contract declares no expectation"),
        (
            [*CLEAN, expect("column_values_to_be_uniqe", column="id")],
            SPLIT,
            "1 of 20 declared expectations could not be loaded",
        ),
        (
            [at_most("label_excess", 0.5, own={"needs": "run"})],
            None,
            "no expectation was evaluated",
        ),
    ],
)
def test_a_contract_that_judges_nothing_fails(
    workspace: Workspace,
    words: Write,
    expectations: list[Row],
    meta: Mapping[str, Any] | None,
    problem: str,
) -> None:
    """Fewer loaded than declared, or none evaluated, is no pass; the table says which."""
    write_contract(words(rows()), expectations, meta)
    said = workspace.relkit("dataset", "check", "words")
    assert said.code == 1
    assert "contract failed" in said.out
    assert problem in said.out


def test_leakage_needs_a_split(workspace: Workspace, words: Write) -> None:
    """Without the name of the split there is nothing to compare, which is no pass either."""
    write_contract(words(rows()), [at_most("leak_text", 0)], None)
    said = workspace.relkit("dataset", "check", "words")
    assert said.code == 1
    assert 'no column "leak_text"' in said.out
    write_contract(words(rows()), [at_most("leak_text", 0)], {"relkit": {"split": "part"}})
    said = workspace.relkit("dataset", "check", "words")
    assert said.code == 2
    assert 'no utterance has the column "part"' in said.err


def test_the_bundled_dataset_keeps_its_contract(workspace: Workspace) -> None:
    """296 clips, 44 voices, every sentence said twice: it is as its contract says."""
    said = workspace.relkit("dataset", "check", "assistant-commands", "--json")
    assert said.code == 0, said.out
    document = said.document
    assert (document["outcome"], document["declared"]) == ("passed", document["loaded"])
    assert document["evaluated"] == document["declared"] - 1
    skipped = [item for item in document["expectations"] if item["outcome"] == "not_checked"]
    assert [item["column"] for item in skipped] == ["label_excess"]
    assert "--run RUN" in skipped[0]["problem"]


def test_a_first_contract_is_written_from_the_data(workspace: Workspace, words: Write) -> None:
    """Without a contract the way to one is named; what is written holds, and is not overwritten."""
    folder = words(rows())
    said = workspace.relkit("dataset", "check", "words")
    assert said.code == 2
    assert "words/contract.json: no such file" in said.err
    assert "relkit dataset check words --write-default" in said.err
    assert workspace.relkit("dataset", "check", "words", "--write-default").code == 0
    checked = workspace.relkit("dataset", "check", "words", "--json")
    assert checked.code == 0, checked.out
    assert checked.document["loaded"] == checked.document["declared"] > 20
    before = (folder / "contract.json").read_bytes()
    again = workspace.relkit("dataset", "check", "words", "--write-default")
    assert again.code == 2
    assert "is there already" in again.err
    assert (folder / "contract.json").read_bytes() == before


def test_a_broken_contract_file_is_named_with_its_line(workspace: Workspace, words: Write) -> None:
    """JSON that does not parse is one clear error."""
    (words(rows()) / "contract.json").write_text('{\n "name": "words"\n "x": 1}\n')
    said = workspace.relkit("dataset", "check", "words", "--json")
    assert said.code == 2
    assert said.document["error"]["message"].startswith("words/contract.json, line 3: not JSON")


def suite(workspace: Workspace, system: str, where: str = "") -> str:
    """Write a suite on ``words`` and return its name."""
    head = "schema: relkit.suite/v1\nname: w\n"
    text = f"{head}dataset: {{name: words{where}}}\nmetrics: [wer]\nsystem: {system}\n"
    (workspace.folder / "eval" / "suites" / "w.yaml").write_text(text, encoding="utf-8")
    return "w"


def recorded(workspace: Workspace, answers: Mapping[str, str], where: str = "") -> str:
    """Write recorded answers and return the suite that uses them."""
    lines = [json.dumps({"id": name, "text": text}) for name, text in answers.items()]
    (workspace.folder / "answers.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return suite(workspace, "{kind: recorded, path: answers.jsonl}", where)


def test_a_wrong_label_is_a_candidate(workspace: Workspace, words: Write) -> None:
    """A recogniser that is right elsewhere contradicts one label: its id is named, not its text."""
    given = rows()
    heard = {item["id"]: item["text"] for item in given}
    given[4]["text"] = "something else entirely"
    folder = words(given)
    write_contract(folder, [*CLEAN, at_most("label_excess", 0.5, own={"needs": "run"})])
    run = workspace.relkit("eval", recorded(workspace, heard), "--json").document["run"]
    said = workspace.relkit("dataset", "check", "words", "--run", run)
    assert said.code == 1
    assert "label_excess: u04\n" in said.out
    assert "something" not in said.out
    document = workspace.relkit("dataset", "check", "words", "--run", run, "--json").document
    assert document["runs"] == [run]
    assert document["evaluated"] == len(CLEAN) + 1
    other = workspace.relkit("dataset", "check", "assistant-commands", "--run", run)
    assert other.code == 2
    assert "is about another dataset" in other.err


def test_the_outcome_is_part_of_what_was_measured(workspace: Workspace, words: Write) -> None:
    """A run carries the outcome for exactly this data and this contract, else ``not_checked``."""
    given = rows()
    folder = words(given)
    write_contract(folder, CLEAN)
    name = recorded(workspace, {item["id"]: item["text"] for item in given})

    def contract() -> str:
        document = workspace.relkit("eval", name, "--json").document
        return str(document["dataset"]["contract"])

    assert contract() == "not_checked"
    assert workspace.relkit("dataset", "check", "words").code == 0
    assert contract() == "passed"
    write_contract(folder, [*CLEAN, at_most("duration", 0.1)])
    assert contract() == "not_checked"
    assert workspace.relkit("dataset", "check", "words").code == 1
    assert contract() == "failed"
    words([*given[:-1], given[-1] | {"text": "stop the music"}])
    assert contract() == "not_checked"


def test_an_old_version_is_checked_by_its_own_contract(workspace: Workspace, words: Write) -> None:
    """``--rev`` reads manifest, audio and contract of that revision; its outcome is its own."""
    given = rows()
    folder = words(given)
    write_contract(folder, CLEAN)
    git(workspace.folder, "init", "--quiet")
    commit_all(workspace.folder)
    words([given[0] | {"text": "STOP"}, *given[1:]])
    assert workspace.relkit("dataset", "check", "words").code == 1
    old = workspace.relkit("dataset", "check", "words", "--rev", "HEAD", "--json")
    assert (old.code, old.document["outcome"]) == (0, "passed")
    kept = list((workspace.folder / ".relkit" / "contracts").glob("*.json"))
    assert len(kept) == 2


def test_a_damaged_outcome_counts_as_none(workspace: Workspace, words: Write) -> None:
    """An outcome that was cut short or written over says nothing."""
    given = rows()
    write_contract(words(given), CLEAN)
    assert workspace.relkit("dataset", "check", "words").code == 0
    (path,) = (workspace.folder / ".relkit" / "contracts").glob("*.json")
    name = recorded(workspace, {item["id"]: item["text"] for item in given})
    whole = path.read_text(encoding="utf-8")
    for text in (whole[:-20], whole.replace('"outcome": "passed"', '"outcome": "failed"', 1), ""):
        path.write_text(text, encoding="utf-8")
        document = workspace.relkit("eval", name, "--json").document
        assert document["dataset"]["contract"] == "not_checked"


def decoded(workspace: Workspace) -> set[str]:
    """Return the names of the recordings that reached the system."""
    lines = (workspace.folder / "asked.txt").read_text(encoding="utf-8").splitlines()
    return {Path(line).stem for line in lines}


def test_revoked_recordings_never_reach_a_system(workspace: Workspace, words: Write) -> None:
    """The evaluation refuses, says how many, and goes on once they are excluded."""
    given = rows()
    for i, consent in ((1, "revoked"), (2, "revoked"), (3, "unknown")):
        given[i]["consent"] = consent
    words(given)
    (workspace.folder / "listen.py").write_text(LISTENER, encoding="utf-8")
    asked = workspace.folder / "asked.txt"
    system = '{kind: command, run: "python3 listen.py"}'
    refused = workspace.relkit("eval", suite(workspace, system))
    assert refused.code == 2
    assert "2 of 12 selected utterances of words have revoked consent" in refused.err
    assert not asked.exists()
    where = ", where: {consent: [granted, unknown]}"
    said = workspace.relkit("eval", suite(workspace, system, where), "--json")
    assert said.document["expected"] == 10
    assert decoded(workspace) == {f"{i:02}" for i in range(12)} - {"01", "02"}


def test_required_consent_leaves_out_unknown_ones_and_says_so(
    workspace: Workspace, words: Write
) -> None:
    """``consent: required`` takes only what was granted; the report has the numbers."""
    given = rows()
    for i, consent in ((1, "revoked"), (2, "unknown"), (3, "unknown")):
        given[i]["consent"] = consent
    words(given, "slices: [accent]\nconsent: required\n")
    (workspace.folder / "listen.py").write_text(LISTENER, encoding="utf-8")
    name = suite(workspace, '{kind: command, run: "python3 listen.py"}')
    report = workspace.relkit("eval", name, "--json").document
    assert report["expected"] == 9
    assert decoded(workspace) == {f"{i:02}" for i in range(12)} - {"01", "02", "03"}
    note = "3 utterances were left out for lack of consent: 1 revoked, 2 unknown"
    assert note in report["notes"]
