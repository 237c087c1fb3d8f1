"""``relkit cost`` as a user calls it: verdicts, exit codes, and input that never passes."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import relkit
from relkit.core.codec import encode
from tests.conftest import Said, Workspace
from tests.cost_data import NOW, POLICY, PRICES, Call, calls, write_calls

ARMS = {"baseline": "old", "candidate": "new"}
Arms = tuple[list[Call], list[Call]]


def cost(
    workspace: Workspace, arms: Arms, *options: str, policy: str = POLICY, prices: str = PRICES
) -> Said:
    """Write a policy, prices and the calls of two arms, and compare them."""
    folder = workspace.folder
    (folder / "gates" / "cost.yaml").write_text(policy, encoding="utf-8")
    (folder / "prices.yaml").write_text(prices, encoding="utf-8")
    baseline, candidate = (
        str(write_calls(folder / f"{name}.jsonl", rows))
        for name, rows in zip(ARMS.values(), arms, strict=True)
    )
    files = ("--baseline", baseline, "--candidate", candidate)
    return workspace.relkit("cost", "cost", *files, "--now", NOW, *options)


def dearer(factor: float) -> Arms:
    """Return arms of which the candidate writes so many times the tokens."""
    new = calls("c")
    for row in new:
        row["output_tokens"] = round(float(row["output_tokens"]) * factor)  # type: ignore[arg-type]
    return calls("b"), new


@pytest.mark.parametrize(
    ("factor", "margin", "verdict", "code"),
    [(1.0, "100%", "pass", 0), (30.0, "50%", "fail", 1), (1.3, "10%", "inconclusive", 3)],
)
def test_the_interval_decides(
    workspace: Workspace, factor: float, margin: str, verdict: str, code: int
) -> None:
    """Inside the margin passes, beyond it fails, and what could be either is undecided."""
    said = cost(workspace, dearer(factor), "--json", policy=POLICY.replace("10%", margin))
    document = said.document
    assert (document["verdict"], said.code) == (verdict, code), document["reason"]
    effects = [document[f"{name}_effect"] for name in ("usage", "price", "mix", "billed")]
    assert sum(effects) == pytest.approx(document["difference"], abs=1e-12)
    assert document["cost_per_call"][1] - document["cost_per_call"][0] == pytest.approx(
        document["difference"], abs=1e-12
    )
    shadow = POLICY.replace("10%", margin) + "enforcement: shadow\n"
    said = cost(workspace, dearer(factor), policy=shadow)
    assert said.code == 0
    assert said.out.startswith("SHADOW: would be ")


def test_one_whale_does_not_decide(workspace: Workspace) -> None:
    """A single session that costs more than all others is undecided, however large it is."""
    baseline, candidate = calls("b"), calls("c")
    for row in candidate[1:3]:
        row["output_tokens"] = 5_000_000
    said = cost(workspace, (baseline, candidate), "--json")
    assert (said.document["verdict"], said.code) == ("inconclusive", 3)
    assert "a few sessions hold nearly all cost" in said.document["reason"]


def with_calls(change: Callable[[list[Call], list[Call]], object]) -> Arms:
    """Return two arms, changed."""
    baseline, candidate = calls("b"), calls("c")
    change(baseline, candidate)
    return baseline, candidate


def everywhere(rows: list[Call], **columns: object) -> None:
    """Set columns of all calls."""
    for row in rows:
        row.update(columns)


NEVER: dict[str, tuple[Arms, str, str, str, int, str]] = {
    "one arm empty": (
        with_calls(lambda _, new: everywhere(new, ts="2027-01-01T00:00:00Z")),
        POLICY, PRICES, "no_data", 4, "the candidate has no turn",
    ),
    "no success": (
        with_calls(lambda _, new: everywhere(new, success=False)),
        POLICY, PRICES, "fail", 1, "no success in 80 sessions of the candidate",
    ),
    "no success before": (
        with_calls(lambda old, _: everywhere(old, success=False)),
        POLICY, PRICES, "no_data", 4, "no success in the baseline",
    ),
    "success unknown": (
        with_calls(lambda _, new: everywhere(new, success=None)),
        POLICY, PRICES, "no_data", 4, "says whether it succeeded",
    ),
    "success in part": (
        with_calls(lambda _, new: everywhere(new[:60], success=None)),
        POLICY, PRICES, "no_data", 4, "20 of 80 sessions of the candidate do not say",
    ),
    "unknown price": (
        with_calls(lambda _, new: everywhere(new[:9], model="unheard-of")),
        POLICY, PRICES, "no_data", 4, "9 of unheard-of, which no price table has",
    ),
    "no model": (
        with_calls(lambda _, new: everywhere(new[:9], model=None)),
        POLICY, PRICES, "no_data", 4, "9 name no model",
    ),
    "expired price": (
        dearer(1), POLICY, PRICES.replace("to: null", "to: 2026-11-09"), "no_data", 4,
        "whose price does not hold on their day",
    ),
    "missing price": (
        with_calls(lambda _, new: everywhere(new, input_audio_tokens=3)),
        POLICY, PRICES, "no_data", 4, "use audio tokens of input, which have no price",
    ),
    "usage in part": (
        with_calls(lambda _, new: everywhere(new[:9], output_tokens=None)),
        POLICY, PRICES, "no_data", 4, "do not say how many output tokens they used",
    ),
    "negative tokens": (
        with_calls(lambda _, new: everywhere(new[:9], cache_read_tokens=-5)),
        POLICY, PRICES, "no_data", 4, "cannot be (negative, not a number)",
    ),
    "not a number": (
        with_calls(lambda _, new: everywhere(new[:9], tts_chars="NaN")),
        POLICY, PRICES, "no_data", 4, "cannot be (negative, not a number)",
    ),
    "naive times": (
        with_calls(lambda _, new: everywhere(new[:9], ts="2026-11-10T00:00:00")),
        POLICY, PRICES, "no_data", 4, "9 of 240 rows were left out",
    ),
    "billed in one arm": (
        with_calls(lambda _, new: everywhere(new, cost=0.001, currency="USD")),
        POLICY, PRICES, "no_data", 4, "costs that were found in two ways are not compared",
    ),
    "four sessions": (
        (calls("b", 12), calls("c", 12)),
        POLICY, PRICES, "inconclusive", 3, "4 sessions in the baseline: an interval needs 5",
    ),
    "costs nothing": (
        dearer(1), POLICY, re.sub(r"[0-9.]+e-[0-9]", "0", PRICES), "no_data", 4, "cost nothing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEVER)
def test_bad_input_never_passes(workspace: Workspace, name: str) -> None:
    """What is missing, mixed or strange has a verdict of its own, and the reason."""
    arms, policy, prices, verdict, code, reason = NEVER[name]
    said = cost(workspace, arms, "--json", policy=policy, prices=prices)
    assert (said.document["verdict"], said.code) == (verdict, code), said.document["reason"]
    assert reason in said.document["reason"]
    assert not [part for part in said.document["slices"] if part["status"] == "pass" and code == 4]


REFUSED: dict[str, tuple[Arms, str, str, str]] = {
    "mixed currencies": (
        with_calls(lambda _, new: everywhere(new[:9], cost=0.001, currency="EUR")),
        POLICY, PRICES, "costs in EUR and USD together",
    ),
    "policy in another currency": (
        dearer(1), f"{POLICY}currency: EUR\n", PRICES, "the policy is in EUR",
    ),
    "misspelt slice": (
        dearer(1), POLICY.replace("language", "langauge"), PRICES,
        'no column to slice by "langauge"',
    ),
    "misspelt model column": (
        with_calls(lambda old, new: [r.update(modle=r.pop("model")) for r in (*old, *new)]),
        POLICY, PRICES, "no column model",
    ),
    "no prices": (dearer(1), POLICY.replace("prices: prices.yaml\n", ""), PRICES, "no price table"),
    "the same run twice": ((calls("b"), calls("b")), POLICY, PRICES, "80 sessions of 80 are in"),
    "a price per million": (
        dearer(1), POLICY, PRICES.replace("1.5e-7", "1.5"), "prices.yaml, line 5",
    ),
    "a misspelt key": (
        dearer(1), POLICY.replace("margin", "marign"), PRICES, 'unknown key "marign"',
    ),
    "another schema": (
        dearer(1), POLICY, PRICES.replace("prices/v1", "price/v1"), "was expected",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_input_ends_with_one_message(workspace: Workspace, name: str) -> None:
    """What cannot be compared is refused with exit code 2, and says what to do."""
    arms, policy, prices, message = REFUSED[name]
    said = cost(workspace, arms, "--json", policy=policy, prices=prices)
    assert said.code == 2
    assert message in said.document["error"]["message"]
    assert str(workspace.folder) not in said.out


def test_a_few_unpriced_calls_are_listed(workspace: Workspace) -> None:
    """Under 1 % of calls without a price does not stop the verdict, and is shown."""
    arms = with_calls(lambda _, new: everywhere(new[:2], model="unheard-of"))
    said = cost(workspace, arms, policy=POLICY.replace("10%", "100%"))
    assert said.code == 0
    assert "of unheard-of, which no price table has" in said.out


def test_the_nearest_priced_model_is_named(workspace: Workspace) -> None:
    """A map has its providers before the names of models: the note says what to write."""
    prices = PRICES.replace("  ears:", "  deepgram/ears:")
    policy = f"{POLICY}components: {{stt: ears}}\n"
    said = cost(workspace, dearer(1), policy=policy, prices=prices)
    flat = " ".join(said.out.split())
    assert (said.code, "240 of ears, which no price table has" in flat) == (4, True)
    assert 'note: ears has no price; did you mean "deepgram/ears"?' in flat
    assert "0.00" not in said.out


def test_people_read_it_in_80_columns(workspace: Workspace) -> None:
    """Verdict, figures, the three effects, slices, words, and what has no price, in one screen."""
    policy = f"{POLICY}components: {{stt: ears, tts: mouth}}\n"
    said = cost(workspace, dearer(4.0), policy=policy)
    assert said.code == 3
    assert max(map(len, said.out.splitlines())) <= 80
    for part in (
        "UNDECIDED: cost per success grew by",
        "per audio minute",
        "usage (at old prices and mix)",
        "mix (between models and slices)",
        "language=ta",
        "tokens per word",
        "unpriced: none",
    ):
        assert part in said.out


def test_a_notebook_gets_the_same_report(workspace: Workspace) -> None:
    """``relkit.cost`` returns what the command prints, and a gate can require what it kept."""
    document = cost(workspace, dearer(30.0), "--json").document
    files = {name: workspace.folder / f"{path}.jsonl" for name, path in ARMS.items()}
    report = relkit.cost("cost", **files, now=NOW, workspace=workspace.folder)
    assert encode(report) == document
    check = workspace.folder / ".relkit" / "checks" / "cost.json"
    assert json.loads(check.read_text(encoding="utf-8"))["verdict"] == document["verdict"]


def test_one_folder_holds_both_arms(workspace: Workspace) -> None:
    """The policy says which turns are whose, as a canary's does."""
    rows = [row | {"arm": "control"} for row in calls("b")]
    rows += [row | {"arm": "canary"} for row in calls("c")]
    said = cost(workspace, (rows, rows), "--json")
    assert (said.code, "160 sessions of 160" in said.document["error"]["message"]) == (2, True)
    arms = "baseline: {arm: control}\ncandidate: {arm: canary}\n"
    said = cost(workspace, (rows, rows), "--json", policy=POLICY.replace("10%", "100%") + arms)
    assert (said.code, said.document["calls"]) == (0, [240, 240])


def test_options_take_several_files(workspace: Workspace) -> None:
    """A glob that the shell has expanded is read whole, and prices of two months are joined."""
    folder = workspace.folder
    (folder / "gates" / "cost.yaml").write_text(POLICY.replace("10%", "100%"), encoding="utf-8")
    october = PRICES.replace("2026-11-01, to: null", "2026-10-01, to: 2026-10-31")
    (folder / "october.yaml").write_text(october, encoding="utf-8")
    (folder / "november.yaml").write_text(PRICES, encoding="utf-8")
    old = [row | {"ts": str(row["ts"]).replace("-11-", "-10-")} for row in calls("b")]
    files = [
        str(write_calls(folder / f"{name}.jsonl", rows))
        for name, rows in (("1", old[:120]), ("2", old[120:]), ("3", calls("c")))
    ]
    prices = [str(folder / "october.yaml"), str(folder / "november.yaml")]
    arguments = ["--baseline", *files[:2], "--candidate", files[2], "--prices", *prices]
    said = workspace.relkit("cost", "cost", *arguments, "--now", NOW, "--json")
    assert (said.code, said.document["calls"]) == (0, [240, 240])
    assert said.document["price_effect"] == 0
    empty = folder / "4.jsonl"
    empty.touch()
    said = workspace.relkit("cost", "cost", *arguments, "--candidate", str(empty), "--now", NOW)
    assert (said.code, "candidate: 4.jsonl: is empty" in said.out + said.err) == (4, True)
    euros = folder / "elsewhere" / "october.yaml"
    euros.parent.mkdir()
    euros.write_text(PRICES.replace("USD", "EUR"), encoding="utf-8")
    said = workspace.relkit("cost", "cost", *arguments, "--prices", str(euros), "--now", NOW)
    assert said.code == 2
    assert str(folder) not in said.err


def test_prices_are_checked(workspace: Workspace) -> None:
    """A sound table passes, a doubtful one fails, and one that cannot be is refused."""
    path = workspace.folder / "p.yaml"
    path.write_text(PRICES, encoding="utf-8")
    said = workspace.relkit("cost", "prices", "check", str(path))
    assert (said.code, said.out) == (0, "PASS: 4 models in USD, from 2026-11-01 on\n")
    swapped = "mini: {input: 6.0e-7, output: 1.5e-7}"
    path.write_text(
        PRICES.replace("mini: {input: 1.5e-7, cache_read: 7.5e-8, output: 6.0e-7}", swapped)
    )
    said = workspace.relkit("cost", "prices", "check", str(path), "--json")
    assert (said.code, len(said.document["suspicions"])) == (1, 1)
    path.write_text(PRICES.replace("1.5e-7", "-1.5e-7"), encoding="utf-8")
    assert workspace.relkit("cost", "prices", "check", str(path)).code == 2
    assert workspace.relkit("cost", "prices", "check", "nowhere.yaml").code == 2


def test_an_imported_map_prices_calls(workspace: Workspace) -> None:
    """What is imported from a price map is a table that costs are compared by."""
    folder = workspace.folder
    entry = {"mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    entry |= {"cache_read_input_token_cost": 1e-7}
    source = folder / "map.json"
    source.write_text(json.dumps({"mini": entry, "large": entry}), encoding="utf-8")
    table = folder / "table.yaml"
    arguments = ("--to", str(table), "--valid-from", "2026-11-01")
    said = workspace.relkit("cost", "prices", "import", str(source), *arguments)
    assert (said.code, said.out.splitlines()[0][:25]) == (0, "litellm: 2 models of 2 ha")
    policy = POLICY.replace("10%", "100%")
    said = cost(workspace, dearer(1), "--json", "--prices", str(table), policy=policy)
    assert (said.code, said.document["mix_effect"]) == (0, pytest.approx(0, abs=1e-6))
    printed = workspace.relkit(
        "cost", "prices", "import", str(source), "--valid-from", "2026-11-01"
    )
    assert printed.out == Path(table).read_text(encoding="utf-8")
