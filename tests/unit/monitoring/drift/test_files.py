"""Drift policies and profiles: what is read, what is refused, and what a profile never holds."""

import json
from dataclasses import replace

import pytest

from relkit.core.codec import encode
from relkit.core.errors import InvalidInput
from relkit.monitoring.drift.bins import (
    frozen_categories,
    frozen_numbers,
    frozen_values,
    thawed,
    value_digest,
)
from relkit.monitoring.drift.files import parse_drift_policy, parse_profile, render_profile
from relkit.monitoring.drift.types import (
    BinProfile,
    CategoryCount,
    ColumnProfile,
    DriftProfile,
    SlotTotals,
)
from relkit.telemetry.columns import is_of_persons
from tests.conftest import ROOT

HEAD = "schema: relkit.drift/v1\nname: inputs\n"

PROFILE = DriftProfile(
    schema="relkit.profile/v1",
    from_="2026-09-01T00:00:00Z",
    to="2026-09-08T00:00:00Z",
    cluster="speaker",
    season="none",
    turns=10,
    columns_seen={"empty": "flag"},
    columns=(
        ColumnProfile(
            column="empty",
            kind="flag",
            bins=tuple(
                BinProfile(
                    bin=name,
                    share=n / 10,
                    rho=0.1,
                    rho_span=0.05,
                    turns=(n,),
                    clusters=(min(n, 5),),
                )
                for name, n in (("false", 8), ("true", 2), ("(missing)", 0))
            ),
            totals=(SlotTotals(turns=10, clusters=5, squares=20),),
        ),
    ),
)


def test_a_policy_says_what_the_page_says() -> None:
    """The example of the page is read, 1% and 0.01 are the same, the rest has its defaults."""
    page = (ROOT / "docs" / "drift.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    shown = parse_drift_policy(example, source="inputs.yaml")
    assert (shown.by, shown.sustained.needed, shown.threshold.psi) == ("speaker", 3, 0.2)
    policy = parse_drift_policy(
        HEAD + "cluster: speaker\nwindow: 30m\nmin_rows: 100\nalarm: 1%\nsustained: {k: 3, of: 5}\n"
        "season: hour_of_day\ncolumns: [snr_db, language]\nthreshold: {psi: 0.2}\n"
        "labels: {column: label, max_drop: 10%}\nenforcement: shadow\n",
        source="inputs.yaml",
    )
    assert (policy.window_s, policy.alarm, policy.threshold.psi) == (1800, 0.01, 0.2)
    assert policy.judged == ("snr_db", "language", "label")
    assert (policy.sustained.needed, policy.sustained.among) == (3, 5)
    assert policy.digest.startswith("sha256:")
    plain = parse_drift_policy(HEAD + "columns: [snr_db]\n", source="inputs.yaml")
    assert (plain.by, plain.window, plain.min_rows, plain.threshold.psi) == (
        "session",
        "1h",
        200,
        0.1,
    )
    assert (plain.sustained.needed, plain.sustained.among) == (3, 3)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("colums: [a]\n", 'line 3: unknown key "colums"', 'did you mean "columns"?'),
        ("columns: []\n", 'line 3: "columns"', None),
        ("columns: [a, a]\n", "line 3: columns: one stands twice", "name each column once"),
        ("columns: [a]\nalarm: 60%\n", 'line 4: "alarm"', None),
        ("columns: [a]\nalarm: 0\n", 'line 4: "alarm"', None),
        ("columns: [a]\nsustained: {k: 6, of: 5}\n", "line 4: sustained: 6 of 5", "k is at most"),
        ("columns: [a]\nsustained: {k: 2}\n", "line 4: sustained: says neither", "write {windows"),
        ("columns: [a]\nsustained: {windows: 3, k: 2, of: 3}\n", "says neither", "write {windows"),
        ("columns: [a]\nwindow: 0h\n", 'line 4: "window"', None),
        ("columns: [a]\nwindow: 0.5s\n", "line 4: a window is at least a second", "such as"),
        (
            "columns: [a]\nwindow: 7m\nseason: hour_of_day\n",
            "line 4: windows of 7m do not divide an hour",
            "use 1h",
        ),
        ("columns: [a]\nseason: hourly\n", 'line 4: "season"', None),
        ("columns: [a]\nlabels: {column: a}\n", 'line 4: labels: "a" is one of', "leave it out"),
        ("columns: [speaker]\n", 'line 3: columns: "speaker" names persons', "cluster by it"),
        ("columns: [who]\ncluster: who\n", 'line 4: cluster: "who" is judged, too', "persons"),
    ],
)
def test_a_policy_that_could_mislead_is_refused(text: str, message: str, hint: str | None) -> None:
    """With file, line and what to do."""
    with pytest.raises(InvalidInput) as refused:
        parse_drift_policy(HEAD + text, source="inputs.yaml")
    assert message in refused.value.message
    assert refused.value.message.startswith("inputs.yaml")
    if hint is not None:
        assert hint in (refused.value.hint or "")


def test_a_policy_of_another_kind_is_named() -> None:
    """A gate's policy is refused by what it is, not by its first key."""
    with pytest.raises(InvalidInput, match=r'line 1: is a "relkit\.gate/v1"'):
        parse_drift_policy("schema: relkit.gate/v1\nmax_age: 3h\n", source="gate.yaml")


@pytest.mark.parametrize(
    ("column", "is_person"),
    [
        ("speaker", True),
        ("caller no", True),
        ("User_ID", True),
        ("device_id", True),
        ("customers", True),
        ("speaker_gender", False),
        ("grid", False),
        ("language", False),
    ],
)
def test_columns_of_persons_by_name(column: str, *, is_person: bool) -> None:
    """Who speaks is no distribution to watch; how they speak is."""
    assert is_of_persons(column) == is_person


def test_a_profile_survives_its_file() -> None:
    """What is written is read as it was, with its digest and its name."""
    read = parse_profile(render_profile(PROFILE), source="week.json")
    assert replace(read, digest="", source="") == PROFILE
    assert read.source == "week.json"
    assert read.digest.startswith("sha256:")
    again = parse_profile(render_profile(read), source="other.json")
    assert again.digest == read.digest


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("columns", 0, "bins", 0, "turns"), [9], "the turns of its bins do not add up"),
        (("columns", 0, "bins", 0, "share"), 0.7, "its shares are not those of its turns"),
        (("columns", 0, "bins", 0, "clusters"), [6], "more clusters than turns"),
        (("columns", 0, "bins", 0, "turns"), [4, 4], "the season has 1 slots"),
        (("turns",), 11, "it has other turns than the profile"),
        (("columns", 0, "kind"), "number", "its edges do not fit its bins"),
        (("columns", 0, "labelled"), True, "has no column but labels"),
        (("columns",), [], "has no column but labels"),
        (("season",), "hour_of_day", "the season has 24 slots"),
        (("columns", 0, "bins", 0, "rho"), 1.5, "rho"),
        (("schema",), "relkit.profile/v2", "schema"),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(
    path: tuple[str | int, ...], value: object, message: str
) -> None:
    """An edited profile is no reference."""
    document = json.loads(render_profile(PROFILE))
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    with pytest.raises(InvalidInput, match=message):
        parse_profile(json.dumps(document), source="week.json")


def test_half_a_profile_is_refused() -> None:
    """A file that was cut is no profile."""
    text = render_profile(PROFILE)
    with pytest.raises(InvalidInput, match=r"week.json, line \d+: not JSON"):
        parse_profile(text[: len(text) // 2], source="week.json")


def test_rare_categories_have_no_name_in_a_profile() -> None:
    """Under 0.5 % of the turns, or of fewer than five clusters, they are digests in (other)."""
    counts = tuple(
        CategoryCount(value=value, turns=turns, clusters=clusters)
        for value, turns, clusters in (
            ("en", 900, 90),
            ("de", 95, 9),
            ("Ada Lovelace", 50, 4),
            ("ta", 4, 4),
        )
    )
    frozen = frozen_categories("language", counts, labelled=False)
    assert frozen.bins == ("de", "en", "(other)", "(new)", "(missing)")
    assert frozen.rare == {
        value_digest("language", "Ada Lovelace"),
        value_digest("language", "ta"),
    }
    assert value_digest("device", "ta") not in frozen.rare
    assert "Ada" not in json.dumps(sorted(frozen.rare))


def test_text_is_no_category() -> None:
    """A column of a thousand values and one is text or an identifier."""
    counts = tuple(CategoryCount(value=f"v{i}", turns=1, clusters=1) for i in range(1001))
    with pytest.raises(InvalidInput, match='"transcript" has over 1,000 different values') as no:
        frozen_categories("transcript", counts, labelled=False)
    assert "length and its empty rate" in (no.value.hint or "")


def test_a_sentence_is_no_category() -> None:
    """However often it is said, it would stand in the profile."""
    counts = (CategoryCount(value="please " * 10, turns=500, clusters=100),)
    with pytest.raises(InvalidInput, match='"answer" has values of over 64 characters'):
        frozen_categories("answer", counts, labelled=False)


def test_bins_have_names_of_their_own() -> None:
    """Equal deciles are one edge, and few numbers are bins by value."""
    frozen = frozen_numbers("snr_db", (0, 0, 0, 1.0000001, 1.0000002, 2, 3, 3, 3), labelled=False)
    assert frozen.bins == ("<= 0", "0 to 1", "1 to 2", "2 to 3", "> 3", "(missing)")
    assert frozen_values("length", (1.0, 2.5, 1e20), labelled=False).bins == (
        "1",
        "2.5",
        "1e+20",
        "(new)",
        "(missing)",
    )


def test_bins_survive_their_profile() -> None:
    """What a profile gives back sorts turns as the reference was sorted."""
    assert thawed(PROFILE.columns[0]).bins == ("false", "true", "(missing)")
    assert encode(PROFILE)["from"] == "2026-09-01T00:00:00Z"
