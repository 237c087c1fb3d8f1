"""How what a packet holds reads to people: bands, grids, times, causes and measures."""

from decimal import Decimal

from relkit.core.slices import slice_parts
from relkit.core.wording import count, safe
from relkit.disclosure.types import (
    AllButFewer,
    Band,
    FewerThan,
    HourSpan,
    ShownBand,
    ShownMetric,
    ShownRate,
)

NOT_STATED = "not stated"
NOT_SHOWN = "not shown"
NOT_READABLE = "cannot be read"

STAGE_WORDS = {
    "initial": "Initial report",
    "update": "Update",
    "final": "Final report",
}
CAUSE_WORDS = {
    "dependency": "A dependency failed",
    "region": "One region failed",
    "client": "One client failed",
    "tenant": "The traffic of one tenant caused it",
    "load": "Load was beyond what was usual",
    "price": "A price changed",
    "mix": "The traffic changed, not the service",
    "measurement": "The measurement failed, not the service",
}
EVIDENCE_WORDS = {
    "concurrent": "the version before served at the same time and did not suffer",
    "temporal": "the time of the switch alone: nothing else was served at the same time",
}
MITIGATION_WORDS = {
    "rolled_back": "rolled back to an earlier release",
    "traffic_shifted": "traffic moved elsewhere",
    "configuration_changed": "configuration changed",
    "dependency_replaced": "dependency replaced",
    "client_fixed": "client fixed",
    "capacity_added": "capacity added",
    "tenant_limited": "one tenant limited",
    "feature_disabled": "feature switched off",
    "monitoring_added": "monitoring added",
    "none_yet": "nothing yet",
}
TIMELINE_WORDS = {
    "onset": "it began",
    "detected": "detected",
    "aware": "the team knew",
    "alert": "an alert fired",
    "canary_step": "a canary got a share of traffic",
    "promoted": "promoted to full traffic",
    "rolled_back": "rolled back",
    "held": "rollout held",
    "config": "configuration changed",
    "flag": "a flag changed",
    "dependency": "a dependency changed",
    "price": "a price changed",
    "client": "a client changed",
    "traffic": "traffic changed",
    "infrastructure": "infrastructure changed",
    "ended": "it ended",
}
REFUSAL_WORDS = {
    "bad": "in the set of bad releases",
    "after_bad": "registered after the first bad release",
    "newer_than_live": "newer than what is live",
    "never_full_traffic": "never held full traffic",
    "no_gate": "no gate passed it",
    "yanked": "withdrawn",
    "rolled_back": "left behind by a rollback",
    "worse_slice": "known to be worse on the failing slice",
    "unreadable": "its record cannot be read",
    "record_changed": "its record is not the one that the ledger names",
    "legacy_unverified": "from another registry and not verified since",
    "unverifiable": "its artifact does not verify",
    "contract": "does not fit what is running",
    "partners": "does not fit the other components",
    "not_registered": "not registered",
}
LINK_WORDS = {
    "established": "established",
    "suspected": "suspected",
    "not_established": "not established",
}
SUBJECT_WORDS = {
    "people": "people: disclosure control applies",
    "public": "public data",
    "synthetic": "synthetic data: nobody's",
}
METRIC_WORDS = {
    "failed": "turns without an answer",
    "reprompt": "turns in which something was asked again",
    "grounded": "answers that their sources support",
    "not_grounded": "answers that their sources do not support",
    "tool_args_ok": "tool calls with valid arguments",
    "bad_tool_args": "tool calls with invalid arguments",
    "false_interrupt": "turns cut off by mistake",
    "interrupted": "turns that were interrupted",
    "abandoned": "turns that were given up",
    "retried": "turns that were tried again",
    "barge_in": "turns in which the user broke in",
    "partial_churn": "turns whose words were taken back again and again",
    "slow": "turns slower than 95 % of those before",
    "slow_eou": "ends of turns found later than 95 % of those before",
    "slow_asr": "turns recognised slower than 95 % of those before",
    "slow_llm": "turns whose first words came later than 95 % of those before",
    "slow_tool": "turns whose tools took longer than 95 % of those before",
    "slow_tts": "turns spoken later than 95 % of those before",
    "slow_network": "turns longer on the network than 95 % of those before",
    "slow_queue": "turns that waited longer than 95 % of those before",
    "many_tokens": "turns of more tokens than 90 % of those before",
    "costly": "turns that cost more than 90 % of those before",
}
_MINUTE = len("2026-01-31T12:00")


def time_words(time: str) -> str:
    """Return a UTC time as people read it: ``2026-01-31 12:00 UTC``."""
    seconds = "" if time.endswith(":00Z") else time[_MINUTE:-1]
    return f"{time[:_MINUTE].replace('T', ' ')}{seconds} UTC"


def span_words(span: HourSpan, joined: str = "to") -> str:
    """Return from when to when; a day is named once."""
    start, end = time_words(span.from_), time_words(span.to)
    day = len("2026-01-31 ")
    same = start[:day] == end[:day]
    return f"{start.removesuffix(' UTC')} {joined} {end[day:] if same else end}"


def band_words(band: Band | None) -> str:
    """Return ``50 to 99``; that nothing is shown for None."""
    return NOT_SHOWN if band is None else f"{count(band[0])} to {count(band[1])}"


def slice_words(key: str) -> str:
    """Return a slice with its values as they are, ``accent=scottish & device=car``.

    What steers a terminal or turns the direction of writing is replaced.
    """
    parts = slice_parts(key)
    return safe(" & ".join(f"{name}={value}" for name, value in parts) if parts else key)


def rate_words(rate: float, step: float) -> str:
    """Return a rate in percent, without its sign, with the decimals of its grid: ``6.2``."""
    exact = Decimal(repr(step)) * 100
    exponent = exact.normalize().as_tuple().exponent
    places = max(0, -exponent) if isinstance(exponent, int) else 0
    return f"{100 * rate:.{places}f}"


def metric_words(metric: ShownMetric) -> tuple[str, str]:
    """Return (what is shown of a metric, its interval or what stands in for one)."""
    if isinstance(metric, ShownRate):
        value, low, high = (
            rate_words(end, metric.step) for end in (metric.value, metric.low, metric.high)
        )
        return f"{value} %", f"{low} to {high}"
    if isinstance(metric, FewerThan):
        return f"fewer than {count(metric.below)} events", ""
    if isinstance(metric, AllButFewer):
        return f"all but fewer than {count(metric.above)}", ""
    if isinstance(metric, ShownBand):
        than = "higher than" if metric.than_rest == "higher" else "not higher than"
        return f"{band_words(metric.events)} events", f"{than} the rest"
    return NOT_SHOWN, ""


def metric_name_words(name: str) -> str:
    """Return a metric with what it counts, where that is known."""
    return f"{name} ({METRIC_WORDS[name]})" if name in METRIC_WORDS else name
