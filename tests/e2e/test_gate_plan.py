"""Plans of the policies that ship, on the dataset that ships: nothing is decoded for them."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from relkit.core.codec import encode
from relkit.core.config import Workspace as Opened
from relkit.core.errors import InvalidInput, RelkitError, UsageError
from relkit.gate.plan_run import REFERENCE, PlanOptions
from relkit.gate.plan_types import GatePlan
from relkit.gate.view import plan_summary
from relkit.wiring.gate import plan_gate, set_margins
from relkit.wiring.stores import open_workspace, policy_files
from relkit.wiring.workspace import init_workspace
from tests.conftest import ROOT, Workspace

GOLDEN = ROOT / "tests" / "golden" / "gate_plan.txt"
DATASET = "assistant-commands"


@pytest.fixture
def settings(workspace: Workspace) -> Opened:
    """Give the settings of a workspace as ``relkit init`` writes it."""
    return open_workspace(workspace.folder)


def texts(folder: Path) -> dict[str, str]:
    """Return the policies of a workspace by file name."""
    return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("gates/*.yaml"))}


def of_rule(plan: GatePlan, rule: str) -> set[str]:
    """Return where the rates of one rule are from."""
    (found,) = [item for item in plan.rules if item.rule == rule]
    return {item.assumed.rate_from for item in found.slices if item.assumed is not None}


def test_the_plan_of_the_demo_policy(settings: Opened) -> None:
    """The whole table, word by word (written again: remove the file and run this test twice)."""
    options = PlanOptions(policy="asr-promotion", dataset=DATASET, suite="demo")
    shown = plan_summary(plan_gate(settings, options)) + "\n"
    if not GOLDEN.exists():
        GOLDEN.write_text(shown, encoding="utf-8")
        pytest.fail("the golden file was missing: it is written now, read it")
    assert shown == GOLDEN.read_text(encoding="utf-8")


OF_COMMANDS = {name: suite for name, suite in REFERENCE.items() if name != "turn-promotion"}


def test_the_policy_of_turns_can_be_decided() -> None:
    """On its own dataset no required rule can never pass, and equal agents pass the margins."""
    options = PlanOptions(policy="turn-promotion", dataset="assistant-talks", suite="talk")
    plan = plan_gate(open_workspace(ROOT), options)
    assert [finding.rule for finding in plan.findings] == ["backchannels"]  # which is advisory
    for rule in plan.rules:
        assert rule.mode == "advisory" or rule.outlook in {"decides", "unknown", "weak"}
        assert all(item.equal_passes is None or item.equal_passes >= 0.8 for item in rule.slices)


@pytest.mark.parametrize(("name", "suite"), OF_COMMANDS.items())
def test_the_policies_that_ship_can_be_decided(settings: Opened, name: str, suite: str) -> None:
    """No finding, and no required rule that its own data could never pass."""
    plan = plan_gate(settings, PlanOptions(policy=name, dataset=DATASET, suite=suite))
    assert plan.findings == ()
    assert {rule.outlook for rule in plan.rules} <= {"decides", "unknown", "weak"}
    for rule in plan.rules:
        for item in rule.slices:
            assert item.equal_passes is None or item.equal_passes >= 0.8
    json.dumps(encode(plan), allow_nan=False)


def test_the_committed_margins_are_those_that_init_writes(tmp_path: Path) -> None:
    """A policy that ships and one that is written never differ."""
    init_workspace(tmp_path / "new")
    committed = texts(ROOT)
    assert texts(tmp_path / "new") == committed
    assert set(committed) >= {"asr-promotion.yaml", "tts-promotion.yaml", "launch.yaml"}


def test_another_dataset_has_other_margins(workspace: Workspace) -> None:
    """With half of the utterances the margins are wider, and everything else stays."""
    folder = workspace.folder
    before = {name: policy_files(open_workspace(folder)).read(name)[0] for name in OF_COMMANDS}
    path = folder / "datasets" / DATASET / "manifest.jsonl"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(lines[::2]) + "\n", encoding="utf-8")
    changed = set_margins(folder)
    for name, old in before.items():
        new = policy_files(open_workspace(folder)).read(name)[0]
        assert new.digest != old.digest
        for was, now in zip(old.rules, new.rules, strict=True):
            assert now.margin == changed[name].get(now.id, was.margin)
            if now.id in changed[name]:
                assert was.margin is not None
                assert now.margin is not None
                assert now.margin > was.margin


def test_a_workspace_without_the_policies_has_nothing_to_set(workspace: Workspace) -> None:
    """Somebody who removed them is not told off."""
    for path in workspace.folder.glob("gates/*.yaml"):
        path.unlink()
    assert set_margins(workspace.folder) == {}


def test_the_whole_dataset_decides_more_than_the_suite(settings: Opened) -> None:
    """Twice the utterances: a smaller margin would do."""
    part = plan_gate(settings, PlanOptions(policy="asr-promotion", suite="demo"))
    whole = plan_gate(settings, PlanOptions(policy="asr-promotion", dataset=DATASET))
    assert whole.utterances > part.utterances
    smallest = [plan.rules[0].slices[0].smallest for plan in (whole, part)]
    assert smallest[0] is not None
    assert smallest[1] is not None
    assert smallest[0] < smallest[1]


def said(word: str) -> dict[str, object]:
    """Return an answer with these words."""
    return {"text": word, "latency_ms": 100.0}


def test_finished_runs_replace_what_was_supposed(workspace: Workspace) -> None:
    """One run brings rates; two bring the spread of their difference."""
    by_id = {row["id"]: row for row in workspace.manifest()}

    def with_errors(every: int) -> str:
        """Return the run of a system that loses the first word of every nth utterance."""
        places = {name: i for i, name in enumerate(sorted(by_id))}
        name = workspace.recorded(
            lambda row: said(
                row["text"] if places[row["id"]] % every else row["text"].partition(" ")[2]
            )
        )
        path = workspace.folder / "eval" / "suites" / f"{name}.yaml"
        text = path.read_text("utf-8").replace("voice: [flite-slt, flite-rms]", "subset: demo")
        path.write_text(text, encoding="utf-8")
        done = workspace.relkit("eval", name)
        assert done.code == 0, done.err
        return workspace.runs[-1].name

    baseline, candidate = with_errors(2), with_errors(3)
    settings = open_workspace(workspace.folder)
    options = PlanOptions(policy="asr-promotion", baseline=baseline)
    one = plan_gate(settings, options)
    assert of_rule(one, "wer-overall") == {f"measured in {baseline}, overall"}
    two = plan_gate(settings, replace(options, candidate=candidate))
    assert of_rule(two, "wer-overall") == {"measured by both runs"}
    assert "measured by both runs" in of_rule(two, "wer-accents")
    assert (two.baseline, two.candidate, two.suite) == (baseline, candidate, "recorded")
    assert "wer_capped: measured by both runs" in plan_summary(two)
    with pytest.raises(UsageError, match="the same run is named twice"):
        plan_gate(settings, replace(options, candidate=baseline))


@pytest.mark.parametrize(
    ("policy", "options", "message"),
    [
        ("asr-promotoin", {"suite": "demo"}, 'no policy "asr-promotoin"'),
        ("asr-promotion", {}, "a plan needs data to look at"),
        ("asr-promotion", {"suite": "dmeo"}, 'no suite "dmeo"'),
        ("asr-promotion", {"dataset": "words", "suite": "demo"}, "is about assistant-commands"),
        ("launch", {"dataset": DATASET}, "plan its parts"),
        ("../gates/launch", {"dataset": DATASET}, "no policy"),
        ("gone.yaml", {"dataset": DATASET}, 'no policy "gone"'),
    ],
)
def test_what_cannot_be_planned(
    settings: Opened, policy: str, options: dict[str, str], message: str
) -> None:
    """Each says what to do instead, and exits 2."""
    with pytest.raises(RelkitError, match=message) as caught:
        plan_gate(settings, PlanOptions(policy=policy, **options))
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_a_launch_is_read_with_its_parts(settings: Opened) -> None:
    """Its digest is not the one of its file alone."""
    launch, parts = policy_files(settings).read("launch")
    assert {part: policy.name for part, policy in parts.items()} == dict(launch.parts)
    assert launch.signature == "required"
    path = settings.gates / "tts-promotion.yaml"
    path.write_text(path.read_text("utf-8").replace("max: 0.65", "max: 0.6"), encoding="utf-8")
    assert policy_files(settings).read("launch")[0].digest != launch.digest
    assert policy_files(settings).read(str(path))[0].name == "tts-promotion"


def test_a_part_must_be_a_policy_of_one_run(settings: Opened) -> None:
    """An unknown part names the nearest policy; a launch of launches is refused."""
    path = settings.gates / "launch.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("asr: asr-promotion", "asr: asr-promotoin"), encoding="utf-8")
    with pytest.raises(UsageError, match='part "asr": policy "asr-promotoin"') as caught:
        policy_files(settings).read("launch")
    assert caught.value.hint == 'did you mean "asr-promotion"?'
    path.write_text(text.replace("asr: asr-promotion", "asr: launch"), encoding="utf-8")
    with pytest.raises(InvalidInput, match="has parts itself"):
        policy_files(settings).read("launch")


def test_a_policy_is_refused_where_it_never_passes_or_has_another_name(
    settings: Opened,
) -> None:
    """Reading is where a policy that makes no sense is stopped, with its line."""
    path = settings.gates / "asr-promotion.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("max: 0.03}", "max: 0}"), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r'line \d+: rule "failures": a maximum of 0'):
        policy_files(settings).read("asr-promotion")
    shutil.copyfile(ROOT / "gates" / "launch.yaml", path)
    with pytest.raises(InvalidInput, match='is called "launch"'):
        policy_files(settings).read("asr-promotion")


def test_a_weak_plan_is_shown_with_what_is_missing(settings: Opened) -> None:
    """The worst slice first, the clusters that are missing, and the findings with their lines."""
    path = settings.gates / "mine.yaml"
    path.write_text(
        "schema: relkit.gate/v1\nname: mine\nrules:\n"
        "  - {id: fine, metric: wer_capped, test: non_inferiority, margin: 0.005}\n"
        "  - {id: gone, metric: wer_capped, slice: accent=welsh, max: 0.5}\n"
        "  - {id: few, metric: wer_capped, slice: 'accent=*&noise=*', max: 0.9, min_clusters: 9,\n"
        "     mode: advisory}\n",
        encoding="utf-8",
    )
    shown = plan_summary(plan_gate(settings, PlanOptions(policy="mine", suite="demo")))
    assert "refuse: rule gone (line 5): no utterance has accent" in shown
    assert "warn: rule fine (line 4): overall: an equal system passes in" in shown
    assert "CANNOT  no slice of the data is meant" in shown
    assert re.search(r"or [0-9,]+ more voices, [0-9,]+ in all", " ".join(shown.split()))
    assert "it stays inconclusive" in shown
