"""The conversations of a report: timelines, stages that sum, the trade, and no transcript."""

import json
from itertools import pairwise

import pytest

from relkit.adapters.html import JinjaPages
from relkit.conversation.types import (
    Conversation,
    ConversationSummary,
    MeasuredConversation,
    MeasuredTurn,
    SoundSpan,
    UserSpeech,
)
from relkit.core.values import Estimate
from relkit.datasets.types import AnswerEvent
from relkit.evaluation.types import EvalReport
from relkit.report.conversation_view import ConversationsView
from relkit.report.types import Page
from tests.builders import header, report, slice_result

SPOKEN = "transfer nine hundred to Zoltan"
STAGES = {"endpoint": 400.0, "asr": 150.0, "llm": 20.0, "tts": 60.0, "playout": 70.0}


def turn(name: str, start: float, stop: float, **fields: object) -> MeasuredTurn:
    """Return an entry of a script that became of it what ``fields`` say."""
    speech = UserSpeech(
        start_ms=start,
        stop_ms=stop,
        turn=name,
        label=fields.pop("label", "turn"),  # type: ignore[arg-type]
        text=SPOKEN,
    )
    return MeasuredTurn(speech=speech, **fields)  # type: ignore[arg-type]


def talk(name: str = "timer-01", *, unusable: str | None = None) -> MeasuredConversation:
    """Return a conversation of four entries: answered, falsely ended, cut, and ignored."""
    turns = (
        turn("u1", 600.0, 2100.0, ending="answered", response_ms=700.0, stages=STAGES,
             eot_delay_ms=400.0, false_end=False),
        turn("u2", 3600.0, 4200.0, ending="early", eot_delay_ms=380.0, false_end=True),
        turn("u3", 6000.0, 6600.0, ending="unanswered", reaction="contradiction"),
        turn("u4", 8000.0, 8300.0, label="backchannel", reaction="yielded", barge_in_stop_ms=240.0),
    )  # fmt: skip
    conversation = Conversation(
        id=name,
        duration_ms=10_000.0,
        user=tuple(item.speech for item in turns),
        agent=(SoundSpan(start_ms=2800.0, stop_ms=8240.0),),
        events=(
            AnswerEvent(t_ms=2500.0, kind="user_stopped_speaking"),
            AnswerEvent(t_ms=2600.0, kind="final", text=SPOKEN),
            AnswerEvent(t_ms=12_000.0, kind="late"),
        ),
    )
    return MeasuredConversation(conversation=conversation, turns=turns, unusable=unusable)


def a_report() -> EvalReport:
    """Return a report of conversations with a delay and false ends in two slices."""
    metrics = {
        "eot_delay_ms.p50": Estimate(value=390.0, low=350.0, high=420.0, unit="ms"),
        "false_eot_rate": Estimate(value=0.25, low=0.1, high=0.4, unit="fraction"),
    }
    summary = ConversationSummary(
        held=1, unusable=1, turns=3, censored_turns=0, contradictions=1, pacing_p99_ms=12.5
    )
    return report(
        slice_result("overall", metrics=metrics),
        slice_result("noise=clean", metrics=metrics),
        conversations=summary,
    )


def view(*, with_text: bool = False, budget: dict[str, float] | None = None) -> ConversationsView:
    """Return the view of one usable and one unusable conversation."""
    talks = (talk(), talk("timer-02", unusable="not_paced"))
    return ConversationsView(a_report(), talks, budget=budget, with_text=with_text)


def test_bars_of_stages_follow_each_other_to_the_mean() -> None:
    """Each begins where the one before ends, and the last ends at the mean response."""
    bars = view(budget={"stage_ms.endpoint": 300.0}).stages()
    assert [bar.stage for bar in bars] == list(STAGES)
    for bar, after in pairwise(bars):
        assert bar.left + bar.width == pytest.approx(after.left, abs=0.02)
    assert bars[-1].left + bars[-1].width == pytest.approx(100.0, abs=0.02)
    assert [(bar.budget, bar.over) for bar in bars[:2]] == [("300 ms", True), ("", False)]
    assert view().responses() == "1 response, on average 700 ms"


def test_what_counts_against_the_agent_comes_first() -> None:
    """The gravest fault first, and an unusable conversation is among none of them."""
    worst = view().worst()
    assert [line.turn for line in worst] == ["u3", "u4", "u2", "u1"]
    assert [line.bad for line in worst] == [True, True, True, False]
    assert {line.conversation for line in worst} == {"timer-01"}
    assert worst[2].end_of_turn == "380 ms, too early"
    assert worst[1].ending == "agent stopped"


def test_a_timeline_draws_both_channels_in_percent_of_its_length() -> None:
    """Sound and events lie where they were; an event after the end is not drawn."""
    first = view().timelines()[0]
    assert [(block.x, block.width) for block in first.agent] == [(28.0, 54.4)]
    assert [block.kind for block in first.user] == ["turn", "turn", "turn", "backchannel"]
    assert [block.title for block in first.events] == [
        "end of turn at 2.50 s",
        "final transcript at 2.60 s",
    ]


def test_the_trade_holds_a_point_per_slice() -> None:
    """Delay goes to the right, false ends go up."""
    points = view().trade()
    assert [point.slice for point in points] == ["overall", "noise=clean"]
    assert (points[0].delay, points[0].false_ends) == ("390 ms", "25.0 %")


@pytest.mark.parametrize("with_text", [False, True])
def test_what_was_said_is_on_the_page_only_where_it_was_asked_for(with_text: bool) -> None:  # noqa: FBT001 - a table
    """Without transcripts neither a turn nor an event tells a word."""
    page = Page(
        header=header(),
        report=a_report(),
        rows=(),
        with_text=with_text,
        conversations=(talk(),),
    )
    html = JinjaPages().report_html(page)
    assert ("transfer nine hundred" in html) is with_text
    assert "Where the time of a response goes" in html
    assert 'aria-label="Who spoke when in timer-01"' in html
    assert json.dumps(SPOKEN) not in html


def test_a_report_without_conversations_has_no_section_of_them() -> None:
    """Pages of other tasks stay as they are."""
    html = JinjaPages().report_html(Page(header=header(), report=report(), rows=()))
    assert "h-conversations" not in html
