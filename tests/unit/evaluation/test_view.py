"""What `relkit eval` prints."""

from dataclasses import replace

from relkit.conversation.types import StageTime, StageTimes
from relkit.core.values import Estimate
from relkit.evaluation.view import eval_summary
from tests.builders import report, slice_result


def measured(wer: float, mos: float, *, claimed: bool = True) -> dict[str, Estimate]:
    """Return the metrics of a slice; an unclaimed rate has no interval."""
    ends = (wer / 2, 2 * wer) if claimed else (None, None)
    rate = {"value": wer, "low": ends[0], "high": ends[1], "n": 90, "clusters": 9}
    latency = Estimate(value=40 * mos, n=9, clusters=9, unit="ms")
    return {
        "wer": Estimate(**{**rate, "value": 9.0}, unit="fraction"),  # type: ignore[arg-type]  # floats and counts
        "wer_capped": Estimate(**rate, unit="fraction"),  # type: ignore[arg-type]  # as above
        "latency_ms.p50": latency,
        "dnsmos_ovrl.mean": Estimate(value=mos, n=9, clusters=9, unit="mos"),
    }


TAILS = ("p50", "p95", "p99")
SLICES = {"noise=babble": (0.4, 1.5), "noise=clean": (0.05, 3.5), "noise=pink": (0.2, 2.5)}


def test_the_summary_leads_with_what_the_slices_are_ranked_by() -> None:
    """A newcomer reads the claimed rate first, what it means, and where it is best and worst."""
    slices = [slice_result(key, measured(*numbers)) for key, numbers in SLICES.items()]
    few = slice_result("noise=rain", measured(0.9, 1.0, claimed=False))
    text = eval_summary(report(slice_result("overall", measured(0.1, 2.0)), *slices, few))
    lines = text[text.index("wer_capped") :].splitlines()
    assert lines[0].startswith("wer_capped: 10.0 % (5.0 to 20.0 %), word error rate with")
    # A slice without an interval is claimed to be neither.
    assert lines[1] == "  best slice: 5.0 % (2.5 to 10.0 %) on noise=clean"
    assert lines[2] == "  worst slice: 40.0 % (20.0 to 80.0 %) on noise=babble"


def test_a_slice_shows_errors_predicted_mos_and_latency() -> None:
    """One line of a terminal says how a slice does in all three; the caption names the metrics."""
    slices = [slice_result(key, measured(*numbers)) for key, numbers in SLICES.items()]
    text = eval_summary(report(slice_result("overall", measured(0.1, 2.0)), *slices))
    table = text[text.index("wer_capped by slice") :].splitlines()
    assert table[0].endswith("and dnsmos_ovrl.mean (predicted MOS) and latency_ms.p50")
    assert table[1].split()[-3:] == ["MOS", "latency", "clusters"]
    assert "40.0 %  20.0 to 80.0 %" in table[2]
    assert max(map(len, table[:5])) <= 80
    assert table[2].split()[-4:-1] == ["1.50", "60", "ms"]


def test_why_a_number_claims_little_stands_by_it() -> None:
    """The note of a metric of the whole is below its row, that of a slice below the table."""
    whole = measured(0.1, 2.0)
    whole["wer"] = replace(whole["wer"], note="says little: a few clusters make most of it")
    low = measured(0.2, 2.0, claimed=False)
    low["wer_capped"] = replace(low["wer_capped"], note="1 cluster: an interval needs 5")
    slices = (slice_result("overall", whole), slice_result("noise=rain", low))
    text = eval_summary(report(*slices))
    assert "9\n  says little: a few clusters make most of it\nwer_capped " in text
    assert "  1 *\n* 1 cluster: an interval needs 5 (1 of the slices)" in text


def test_a_note_that_many_metrics_share_stands_once() -> None:
    """It is named by a mark in each row, below the table."""
    note = "7 clusters: the interval of a percentile needs 8"
    whole = measured(0.1, 2.0)
    noted = {f"latency_ms.{p}": replace(whole["latency_ms.p50"], note=note) for p in TAILS}
    text = eval_summary(report(slice_result("overall", whole | noted)))
    assert text.count(note) == 1
    assert f"\n[1] {note}" in text
    assert text.count("9 [1]\n") == len(TAILS)


def test_the_stages_of_a_response_stand_in_a_table_of_their_own() -> None:
    """Each with its mean and percentiles, and the sum of the means alone."""
    whole = measured(0.1, 2.0)
    whole["stage_ms.asr.mean"] = replace(whole["latency_ms.p50"], value=150.0)
    times = StageTimes(
        asr=StageTime(mean=150.0, p50=140.0, p95=190.0), sum_ms=150.0, response_ms=150.0
    )
    item = replace(slice_result("overall", whole), stages=times)
    lines = eval_summary(report(item)).splitlines()
    start = lines.index("stage of a response    mean     p50     p95")
    assert lines[start + 1].split() == ["asr", "150", "ms", "140", "ms", "190", "ms"]
    assert lines[start + 2].split() == ["sum,", "in", "a", "mean", "turn", "150", "ms"]
    assert not any(line.startswith("stage_ms") for line in lines)


def test_a_run_of_one_slice_has_a_headline_without_extremes() -> None:
    """Best and worst of nothing is not said."""
    text = eval_summary(report(slice_result("overall", measured(0.1, 2.0))))
    assert "wer_capped: 10.0 %" in text
    assert "slice" not in text
