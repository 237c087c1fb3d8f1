"""Which utterances a suite takes, and the slice values each of them has."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.core.errors import InvalidInput
from relkit.datasets.selection import bin_label, slice_values
from relkit.datasets.types import NO_VALUE, Bins, Dataset, Ways
from relkit.evaluation.slicing import cluster_ways, select, slice_columns
from tests.builders import MINIMAL_SUITE, dataset, suite, utterance

EDGES = (1.0, 2.0, 4.5)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (None, "(none)"),
        (math.nan, "(none)"),
        (-math.inf, "[-inf,1)"),
        (0.999999, "[-inf,1)"),
        (1.0, "[1,2)"),
        (1.999999, "[1,2)"),
        (2.0, "[2,4.5)"),
        (4.5, "[4.5,inf)"),
        (math.inf, "[4.5,inf)"),
    ],
)
def test_a_number_falls_into_the_bin_that_begins_with_it(value: float | None, label: str) -> None:
    """Bins are ``[a,b)``; what is no number is in none."""
    assert bin_label(value, EDGES) == label


@pytest.mark.parametrize(
    ("edges", "labels"),
    [
        ((1000000.0, 1000001.0), ["[-inf,1000000)", "[1000000,1000001)", "[1000001,inf)"]),
        ((0.1234567, 0.1234568), ["[-inf,0.1234567)", "[0.1234567,0.1234568)", "[0.1234568,inf)"]),
        ((-1.0, 0.0), ["[-inf,-1)", "[-1,0)", "[0,inf)"]),
    ],
)
def test_no_two_bins_share_a_label(edges: tuple[float, ...], labels: list[str]) -> None:
    """Edges are written in full, or two bins would be counted as one."""
    assert [bin_label(value, edges) for value in (edges[0] - 1, *edges)] == labels


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5, unique=True).map(sorted),
    st.floats(-1e10, 1e10),
)
def test_a_label_names_the_edges_around_its_number(edges: list[float], value: float) -> None:
    """The low edge <= value < high, read from the label itself."""
    low, high = bin_label(value, tuple(edges))[1:-1].split(",")
    assert float(low) <= value < float(high)


def cut() -> Dataset:
    """Return three utterances with two accents, one without a noise level."""
    return dataset(
        [
            utterance("a", attributes={"accent": "plain", "snr": "10", "speaker": "s1"}),
            utterance("b", attributes={"accent": "broad", "snr": "high", "speaker": "s2"}),
            utterance("c", attributes={"accent": "plain", "speaker": "s1"}),
        ],
        slices=("accent", "gone"),
        bins=(
            Bins(name="length", column="duration", edges=(1.0, 2.0)),
            Bins(name="noise", column="snr", edges=(0.0, 20.0)),
        ),
    )


def test_slice_values_of_attributes_and_bins() -> None:
    """A missing value and one that is no number are ``(none)``."""
    data = cut()
    columns = ("accent", "snr", "length", "noise")
    found = [slice_values(item, columns, data.settings.bins, 1.5) for item in data.utterances]
    assert found == [
        {"accent": "plain", "snr": "10", "length": "[1,2)", "noise": "[0,20)"},
        {"accent": "broad", "snr": "high", "length": "[1,2)", "noise": "(none)"},
        {"accent": "plain", "snr": "(none)", "length": "[1,2)", "noise": "(none)"},
    ]


@pytest.mark.parametrize(
    ("duration", "label"), [(None, "(none)"), (math.nan, "(none)"), (0.5, "[-inf,1)")]
)
def test_the_length_is_the_decoded_one(duration: float | None, label: str) -> None:
    """An item that could not be decoded is in no bin of length."""
    assert slice_values(cut().utterances[0], ("length",), cut().settings.bins, duration) == {
        "length": label
    }


def test_bins_that_nobody_asked_for_are_left_out() -> None:
    """Only the wanted columns are carried."""
    assert list(slice_values(cut().utterances[0], ("accent",), cut().settings.bins, 1.0)) == [
        "accent"
    ]


def test_the_columns_are_the_suites_then_the_datasets() -> None:
    """Each once, in order; a column that a dataset only promises is left out."""
    asked = suite(MINIMAL_SUITE + 'slices: [snr, "length&accent"]\n')
    assert slice_columns(cut(), asked) == ("snr", "accent", "length", "noise")


@pytest.mark.parametrize(
    ("slices", "message", "hint"),
    [
        ("[acent]", 'unknown slice column "acent"', 'did you mean "accent"?'),
        ('["accent&lenght"]', 'unknown slice column "lenght"', 'did you mean "length"?'),
        ("[zzz]", 'unknown slice column "zzz"', "columns: accent, length, noise, snr, speaker"),
        ('["accent=plain"]', 'unknown slice column "accent=plain"', 'did you mean "accent"?'),
        ("[duration]", 'unknown slice column "duration"', "columns: accent"),
    ],
)
def test_an_unknown_slice_column_is_refused_with_the_nearest(
    slices: str, message: str, hint: str
) -> None:
    """A misspelt slice is never silently empty."""
    with pytest.raises(InvalidInput) as caught:
        slice_columns(cut(), suite(MINIMAL_SUITE + f"slices: {slices}\n"))
    assert caught.value.message == message
    assert (caught.value.hint or "").startswith(hint)


@pytest.mark.parametrize(("line", "column"), [("", "speaker"), ("cluster: accent\n", "accent")])
def test_the_suites_cluster_wins(line: str, column: str) -> None:
    """A suite may name other independent units than the dataset."""
    assert cluster_ways(cut(), suite(MINIMAL_SUITE + line)) == Ways(column)


@pytest.mark.parametrize(
    ("columns", "line", "cluster"),
    [
        ({"conversation": "c1", "speaker": "s1", "voice": "v1"}, "", "conversation"),
        ({"speaker": "s1", "voice": "v1"}, "", "speaker"),
        ({"voice": "v1"}, "", "voice"),
        ({"conversation": "c1", "voice": "v1"}, "cluster: voice\n", "voice"),
    ],
)
def test_conversations_are_clusters_where_the_suite_names_none(
    columns: dict[str, str], line: str, cluster: str
) -> None:
    """By the column conversation, else speaker, else what the dataset says."""
    plain = dataset([utterance("a", attributes=columns)])
    talks = replace(plain, settings=replace(plain.settings, cluster="voice"))
    talk = "name: t\ndataset: {name: words}\ntask: turn\nmetrics: [response_ms]\n"
    read = suite("schema: relkit.suite/v1\n" + talk + "system: {kind: demo-agent}\n" + line)
    assert cluster_ways(talks, read) == Ways(cluster)


def crossed(sentences: int, *, speakers: int = 3) -> Dataset:
    """Return a dataset in which every speaker reads so many sentences."""
    return dataset(
        [
            utterance(
                f"{s}-{k}", reference=f"text {k}", attributes={"speaker": f"s{s}", "said": f"{k}"}
            )
            for s in range(speakers)
            for k in range(sentences)
        ]
    )


@pytest.mark.parametrize(
    ("line", "ways"),
    [
        ("[speaker, said]", Ways("speaker", "said")),
        ("[said, speaker]", Ways("said", "speaker")),
        ("[speaker, text]", Ways("speaker", "text")),
        ("[speaker]", Ways("speaker", NO_VALUE)),
    ],
)
def test_a_suite_may_choose_two_columns_or_one_alone(line: str, ways: Ways) -> None:
    """What is a second way of clusters may be said, not only seen."""
    assert cluster_ways(crossed(6, speakers=6), suite(f"{MINIMAL_SUITE}cluster: {line}\n")) == ways


@pytest.mark.parametrize(
    ("line", "sentences", "message"),
    [
        ("[speaker, sentence]", 6, 'unknown cluster column "sentence"'),
        ("[speaker, speaker]", 6, '"speaker" is named twice'),
        ("[speaker, said, text]", 6, "name one column or two"),
        ("[]", 6, "name one column or two"),
        ("[speaker, said]", 4, "only 4 values of said have several values of speaker"),
        ("[speaker, text]", 1, "only 1 values of text have"),
    ],
)
def test_a_second_column_that_is_none_is_refused(line: str, sentences: int, message: str) -> None:
    """A way that is missing, named twice or of a few values is no way of its own."""
    with pytest.raises(InvalidInput) as caught:
        cluster_ways(crossed(sentences), suite(f"{MINIMAL_SUITE}cluster: {line}\n"))
    assert message in str(caught.value)


def test_a_second_column_that_nobody_shares_changes_nothing() -> None:
    """Where sentences are read once each there is one way, whatever is said."""
    alone = crossed(6, speakers=1)
    assert (
        cluster_ways(alone, suite(f"{MINIMAL_SUITE}cluster: [speaker, said]\n")).crossed == "said"
    )


def test_an_unknown_cluster_is_refused() -> None:
    """Intervals over units that nobody has would be wrong."""
    with pytest.raises(InvalidInput, match='unknown cluster column "speker"') as caught:
        cluster_ways(cut(), suite(MINIMAL_SUITE + "cluster: speker\n"))
    assert caught.value.hint == 'did you mean "speaker"?'


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({}, ["a", "b", "c"]),
        ({"accent": ("plain",)}, ["a", "c"]),
        ({"accent": ("plain", "broad")}, ["a", "b", "c"]),
        ({"accent": ("plain",), "snr": ("10",)}, ["a"]),
        ({"snr": ("(none)",)}, ["c"]),
    ],
)
def test_where_takes_all_columns_together(
    where: dict[str, tuple[str, ...]], ids: list[str]
) -> None:
    """Values of a column are alternatives, columns are not."""
    assert [item.id for item in select(cut(), where)] == ids


@pytest.mark.parametrize(
    ("where", "message", "hint"),
    [
        ({"acent": ("plain",)}, 'unknown where column "acent"', 'did you mean "accent"?'),
        (
            {"accent": ("posh",)},
            "no utterance of words has accent in posh",
            "values of accent: broad",
        ),
        (
            {"accent": ("broad",), "snr": ("10",)},
            "no utterance of words has snr in 10",
            "values of snr: (none), 10, high",
        ),
        ({"accent": ()}, "no utterance of words has accent in ", "values of accent: broad, plain"),
    ],
)
def test_a_selection_of_nothing_is_refused(
    where: dict[str, tuple[str, ...]], message: str, hint: str
) -> None:
    """An evaluation of nothing is an error in the suite."""
    with pytest.raises(InvalidInput) as caught:
        select(cut(), where)
    assert caught.value.message == message
    assert (caught.value.hint or "").startswith(hint)
