"""What ``relkit compare`` prints: a golden text, and names that cannot steer a terminal.

The golden text is written anew, to be looked at in the diff, by
``RELKIT_REGENERATE_GOLDEN=1 pytest tests/cli/test_compare_text.py``.
"""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from relkit.comparison.types import (
    Attribution,
    ComparedRun,
    CompareReport,
    ConfusionChange,
    Finding,
    Flip,
    Flips,
    Harm,
    OverallChange,
    Part,
    SegmentTest,
    SliceChange,
    WordChange,
)
from relkit.comparison.view import compare_summary
from relkit.core.codec import encode
from relkit.core.slices import slice_parts
from relkit.statistics.types import Difference, Pairing

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "compare.txt"
HOSTILE = "accent=\x1b[2Jgone\r\n::error::x"


def difference(key: str, was: float, now: float, **fields: Any) -> Difference:  # noqa: ANN401  # any field
    """Return a difference of two rates with an interval of two points to either side."""
    given: dict[str, Any] = {
        "low": now - was - 0.02,
        "high": now - was + 0.02,
        "n": 900,
        "utterances": 180,
        "clusters": 9,
        "discordant": 8,
        "method": "jackknife",
    }
    return Difference(
        slice=key, candidate=now, baseline=was, worsening=now - was, **(given | fields)
    )


def harm(share: float, per_thousand: float) -> Harm:
    """Return the harm of a slice with a share of 720 turns."""
    return Harm(
        turns=round(720 * share),
        per_thousand=per_thousand,
        share=share,
        of_all=share * per_thousand,
    )


def change(found: Difference, finding: Finding, reason: str, **fields: Any) -> SliceChange:  # noqa: ANN401  # any field
    """Return a slice of the comparison."""
    given: dict[str, Any] = {
        **asdict(found),
        "p_better": 1.0,
        "harm": harm(0.25, 0.0),
        "words": WordChange(),
    }
    return SliceChange(finding=finding, reason=reason, **(given | fields))


def full() -> CompareReport:
    """Return a comparison with something in every part."""
    broken = Flip(
        id="u7",
        repeat=1,
        cluster="flite-awb",
        slices={"accent": "scottish", "noise": "babble", "intent": "music"},
        baseline_errors=0,
        candidate_errors=3,
    )
    return CompareReport(
        baseline=ComparedRun(run="run-a", candidate="sha256:a", created="", load="sha256:l"),
        candidate=ComparedRun(run="run-b", candidate="sha256:b", created="", load="sha256:l"),
        dataset="commands",
        suite="demo",
        normalizer="english",
        metric="wer_capped",
        unit="fraction",
        cluster="voice",
        detectable=2.0,
        pairing=Pairing(
            both=722, compared=720, only_candidate=0, only_baseline=0, moved=0, duplicates=0
        ),
        overall=OverallChange(
            finding=Finding.CANNOT_TELL,
            reason="cannot tell: about 42 more voices would say whether they differ by less "
            "than 0.8 points",
            **asdict(difference("overall", 0.081, 0.083, clusters=36, note="a note on it")),
            harm=harm(1.0, 12.5),
            words=WordChange(substitutions=12, deletions=-3, insertions=0),
            needed_clusters=78,
        ),
        slices=(
            change(
                difference("accent=scottish", 0.081, 0.143),
                Finding.WORSE,
                "worse by 6.2 points",
                p_adjusted=0.0001,
                harm=harm(0.25, 61.0),
                words=WordChange(substitutions=10, deletions=1, insertions=2),
            ),
            change(
                difference("noise=babble", 0.102, 0.131),
                Finding.WORSE,
                "worse by 2.9 points",
                p_adjusted=0.0312,
                harm=harm(0.5, 29.5),
                words=WordChange(substitutions=11),
                elsewhere=Part(slice="accent=scottish", share=0.92),
            ),
            change(
                difference("noise=clean", 0.031, 0.031, low=-0.004, high=0.004),
                Finding.NOT_SEEN,
                "no difference seen: a rate 1.6 times as high is excluded",
                p_adjusted=0.71,
            ),
            change(
                difference("accent=welsh", 0.05, 0.04, low=None, high=None, clusters=3),
                Finding.CANNOT_TELL,
                "cannot tell: about 2 more voices would exclude 2 times the rate",
                needed_clusters=5,
            ),
            change(
                difference("accent=american", 0.12, 0.07),
                Finding.BETTER,
                "better by 5.0 points",
                p_adjusted=1.0,
                harm=harm(0.25, -48.0),
                words=WordChange(substitutions=-9),
            ),
        ),
        new_slices=("accent=irish",),
        vanished_slices=("noise=pink", "noise=white"),
        flips=Flips(broken=31, mended=1204, worst_broken=(broken,)),
        attribution=Attribution(
            of="overall",
            slice="accent=scottish&noise=babble",
            excess=15.0,
            share=0.83,
            data=0.061,
            utterances=44,
        ),
        timings={
            "latency_ms.p95": difference("overall", 400.0, 433.0, low=3.0, high=61.0, unit="ms"),
            "rtf": difference("overall", 0.051, 0.049, low=None, high=None, unit="ratio"),
        },
        confusions=(
            ConfusionChange(expected="four", given="for", baseline=2, candidate=9, utterances=7),
            ConfusionChange(expected=None, given="the", baseline=4, candidate=0, utterances=3),
            ConfusionChange(expected="a", given=None, baseline=0, candidate=1, utterances=1),
        ),
        segments=SegmentTest(segments=412, mean=0.021, z=1.87, p=0.0615),
        notes=("2 results were unusable in one of the runs: left out",),
    )


def test_the_summary_is_the_golden_text() -> None:
    """Every part, to the letter."""
    text = compare_summary(full(), top=4) + "\n"
    if os.environ.get("RELKIT_REGENERATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_top_bounds_what_is_shown_and_says_what_is_hidden() -> None:
    """The worst stay, and nobody mistakes a part for the whole."""
    text = compare_summary(full(), top=1)
    assert "accent=scottish  " in text
    assert "accent=american" not in text
    assert "… and 4 more: --top" in text


def test_names_from_data_cannot_steer_a_terminal() -> None:
    """Slice values, ids and clusters come from manifests: no control character gets through."""
    report = full()
    slices = (replace(report.slices[0], slice=HOSTILE, elsewhere=Part(slice=HOSTILE, share=0.9)),)
    flip = replace(report.flips.worst_broken[0], id=HOSTILE, cluster=HOSTILE)
    attribution = replace(report.attribution, slice=HOSTILE) if report.attribution else None
    hostile = replace(
        report,
        slices=slices,
        suite=HOSTILE,
        cluster=HOSTILE,
        new_slices=(HOSTILE,),
        attribution=attribution,
        flips=replace(report.flips, worst_broken=(flip,)),
        confusions=(replace(report.confusions[0], given=HOSTILE),) if report.confusions else None,
    )
    text = compare_summary(hostile, top=5)
    assert "\x1b" not in text
    assert "\r" not in text
    assert not any(line.startswith("::") for line in text.splitlines())


@pytest.mark.parametrize("confused", [None, ()])
def test_an_empty_comparison_leaves_no_empty_headings(
    confused: tuple[ConfusionChange, ...] | None,
) -> None:
    """Parts without content are not there; confusions that were asked for say that none changed."""
    bare = replace(
        full(),
        slices=(),
        new_slices=(),
        vanished_slices=(),
        flips=Flips(broken=0, mended=0),
        attribution=None,
        timings={},
        confusions=confused,
        segments=None,
        notes=(),
    )
    text = compare_summary(bare, top=5)
    for heading in ("by evidence", "by harm", "most of", "same load", "only the", "expected"):
        assert heading not in text
    assert ("confusions: none changed" in text) is (confused is not None)


def test_the_document_has_fractions_and_every_field() -> None:
    """Percent is for people; keys are the stable ones."""
    found: Any = encode(full())
    assert set(found) >= {
        "baseline", "candidate", "metric", "overall", "slices", "new_slices", "vanished_slices",
        "flipped", "confusions", "attribution", "notes",
    }  # fmt: skip
    first = found["slices"][0]
    assert (first["slice"], first["candidate"], first["baseline"]) == (
        "accent=scottish",
        0.143,
        0.081,
    )
    named = {*Difference.__slots__, "p_adjusted", "excludes", "needed_clusters"}
    assert named <= set(first)
    assert found["slices"][1]["elsewhere"] == {"slice": "accent=scottish", "share": 0.92}
    assert found["flipped"]["worst_right_to_wrong"][0]["slices"]["accent"] == "scottish"
    assert found["confusions"][0]["change"] == 7
    assert [key for key, _ in slice_parts(found["attribution"]["slice"])] == ["accent", "noise"]


def test_the_trade_of_waiting_is_told_in_words() -> None:
    """Of false ends of turn no words are counted, and the wait that they cost is named."""
    wait = Difference(
        slice="overall", baseline=369.0, candidate=970.0, worsening=601.0, unit="ms", clusters=54
    )
    report = full()
    report = replace(report, metric="false_eot_rate", timings={"eot_delay_ms.p50": wait})
    text = " ".join(compare_summary(report, top=1).split())
    assert "wrong words in 1,000 turns;" not in text
    assert "the trade: the candidate waits 601 ms longer for the end of a turn (p50)" in text
