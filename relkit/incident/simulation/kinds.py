"""The kinds of incidents, and an incident of a kind with the rollouts that go on beside it."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from relkit.core.codec import nearest
from relkit.core.errors import UsageError
from relkit.incident.simulation.types import (
    BASE_ONSET_HOURS,
    ElsewhereChange,
    IncidentChange,
    IncidentComponent,
    IncidentKind,
    IncidentQuantity,
    RightVerdict,
    Rollout,
    RolloutStep,
    SimulatedIncident,
    TrafficMix,
)

START = "2026-01-07T00:00:00Z"
"""A Wednesday: neither end of the eight days is a weekend."""

HOURS = 192

VERSIONS: Mapping[IncidentComponent, tuple[str, ...]] = MappingProxyType(
    {
        "asr": ("2.2", "2.3", "2.4", "2.5"),
        "llm": ("3.0", "3.1", "3.2", "3.3"),
        "tts": ("1.6", "1.7", "1.8", "1.9"),
        "retrieval": ("5.0", "5.1", "5.2", "5.3"),
    }
)
"""Versions of each component in their order; the first two are out before an incident begins."""

_LADDER = tuple(
    RolloutStep(share=share, hours=hours)
    for share, hours in ((0.01, 3.0), (0.05, 4.0), (0.25, 8.0), (0.5, 14.0))
)
_GUILTY = tuple(
    RolloutStep(share=share, hours=hours)
    for share, hours in ((0.01, 1.0), (0.05, 1.0), (0.25, 5.0), (0.5, 12.0))
)
_BEFORE: Mapping[IncidentComponent, float] = {
    "asr": -9.0,
    "llm": -12.5,
    "tts": -6.5,
    "retrieval": -16.0,
}
"""When the innocent rollout of a component begins, in hours from the onset."""

_EARLIER: Mapping[IncidentComponent, float] = {
    "asr": 30.0,
    "llm": 44.0,
    "tts": 52.0,
    "retrieval": 61.0,
}
"""When the second version of a component came, in hours from the start."""

_JITTER_HOURS, _ONSET_JITTER_HOURS = 2.0, 10.0

_RELEASE = RightVerdict(verdict="release", cause="release")
_NOTHING = RightVerdict(verdict="nothing", cause=None)
_UNDETERMINED = RightVerdict(verdict="undetermined", cause=None)
_NO_DATA = RightVerdict(verdict="no_data", cause=None)
_DEPENDENCY = RightVerdict(verdict="not_release", cause="dependency")
_REGION = RightVerdict(verdict="not_release", cause="region")
_CLIENT = RightVerdict(verdict="not_release", cause="client")
_TENANT = RightVerdict(verdict="not_release", cause="tenant")
_LOAD = RightVerdict(verdict="not_release", cause="load")
_PRICE = RightVerdict(verdict="not_release", cause="price")
_MIX = RightVerdict(verdict="not_release", cause="mix")
_MEASUREMENT = RightVerdict(verdict="not_release", cause="measurement")


def _canary(
    component: IncidentComponent,
    version: str | None = None,
    *,
    at: float = 0.0,
    only: Mapping[str, str] | None = None,
    coin: int | None = None,
) -> Rollout:
    """Return a rollout in steps, of the third version unless one is named."""
    return Rollout(
        component=component,
        version=version or VERSIONS[component][2],
        at=at,
        steps=_GUILTY,
        only=only or {},
        coin=coin,
    )


def _switch(
    component: IncidentComponent, *, at: float = 0.0, only: Mapping[str, str] | None = None
) -> Rollout:
    """Return a rollout to all sessions at once, or to all of some."""
    return Rollout(component=component, version=VERSIONS[component][2], at=at, only=only or {})


def _of(
    component: IncidentComponent,
    quantity: IncidentQuantity,
    factor: float,
    versions: tuple[str, ...] = (),
    **only: str,
) -> IncidentChange:
    """Return what a release does: the third version, and those after it, unless some are named."""
    return IncidentChange(
        quantity=quantity,
        factor=factor,
        only=only,
        component=component,
        versions=versions or VERSIONS[component][2:],
        since=-HOURS,
    )


def _regression(
    name: str,
    description: str,
    component: IncidentComponent,
    change: IncidentChange,
    *slices: str,
) -> IncidentKind:
    """Return a release that is worse, with the old version beside it."""
    return IncidentKind(
        name=name,
        description=description,
        right=_RELEASE,
        rollouts=(_canary(component),),
        guilty=0,
        changes=(change,),
        slices=slices,
    )


_OUTAGE = (IncidentChange(quantity="failed", factor=14.0, hours=5.0, code="upstream_timeout"),)
_REGION_OUTAGE = (
    IncidentChange(
        quantity="failed", factor=20.0, only={"region": "ap"}, hours=6.0, code="internal"
    ),
)
_IN_REGION = ("region=ap",)

_KINDS = (
    _regression(
        "noise",
        "a recogniser that users have to repeat themselves to in the street",
        "asr",
        _of("asr", "reprompt", 3.0, noise="street"),
        "noise=street",
    ),
    _regression(
        "accent",
        "a recogniser that is worse for one accent",
        "asr",
        _of("asr", "reprompt", 4.0, accent="scottish"),
        "accent=scottish",
    ),
    _regression(
        "device",
        "a recogniser that takes the car's own sound for speech",
        "asr",
        _of("asr", "false_interrupt", 4.0, device="car"),
        "device=car",
    ),
    _regression(
        "language",
        "a language model that answers German callers without a ground",
        "llm",
        _of("llm", "ungrounded", 5.0, lang="de"),
        "lang=de",
    ),
    _regression(
        "tts-tail",
        "a voice that starts very late in some turns",
        "tts",
        _of("tts", "tts_tail", 12.0),
        "overall",
    ),
    IncidentKind(
        name="slow-leak",
        description="a language model's server that grows slower for a day after its deployment",
        right=_RELEASE,
        rollouts=(_canary("llm"),),
        guilty=0,
        changes=(
            IncidentChange(
                quantity="llm_ttft_ms",
                factor=4.0,
                component="llm",
                versions=VERSIONS["llm"][2:],
                ramp=20.0,
            ),
        ),
        slices=("overall",),
    ),
    _regression(
        "grounding",
        "an index that lacks documents: answers without a ground",
        "retrieval",
        _of("retrieval", "ungrounded", 3.0),
        "overall",
    ),
    _regression(
        "tool-arguments",
        "a language model that calls tools with wrong arguments",
        "llm",
        _of("llm", "bad_tool_args", 5.0),
        "overall",
    ),
    _regression(
        "false-interruptions",
        "a recogniser that stops the assistant although nobody spoke",
        "asr",
        _of("asr", "false_interrupt", 2.5),
        "overall",
    ),
    _regression(
        "token-spike",
        "a language model that answers at three times the length",
        "llm",
        _of("llm", "tokens", 3.0),
        "overall",
    ),
    IncidentKind(
        name="price-spike",
        description="a provider that raises its price by half, for all versions",
        right=_PRICE,
        changes=(IncidentChange(quantity="price", factor=1.5),),
        elsewhere=(ElsewhereChange(at=0.0, kind="price", name="price-list"),),
        slices=("overall",),
    ),
    IncidentKind(
        name="retry-storm",
        description="a client that sends everything again",
        right=_CLIENT,
        changes=(
            IncidentChange(quantity="retried", factor=9.0, only={"client": "android"}, hours=9.0),
        ),
        slices=("client=android",),
    ),
    IncidentKind(
        name="client-bug",
        description="a web client that sends requests nobody can read",
        right=_CLIENT,
        changes=(
            IncidentChange(
                quantity="failed", factor=7.0, only={"client": "web"}, code="client_protocol"
            ),
        ),
        elsewhere=(ElsewhereChange(at=-0.2, kind="client", name="web-8.1"),),
        slices=("client=web",),
    ),
    _regression(
        "release-client",
        "a language model whose tool calls one client does not bear",
        "llm",
        _of("llm", "failed", 6.0, client="ios"),
        "client=ios",
    ),
    IncidentKind(
        name="region-outage",
        description="a region where most requests fail for hours",
        right=_REGION,
        changes=_REGION_OUTAGE,
        slices=_IN_REGION,
    ),
    IncidentKind(
        name="region-outage-in-canary",
        description="a region that fails in the middle of a canary of the language model",
        right=_REGION,
        rollouts=(_canary("llm", at=-4.0),),
        changes=_REGION_OUTAGE,
        slices=_IN_REGION,
    ),
    IncidentKind(
        name="region-outage-after-switch",
        description="a region that fails right after an innocent switch of all traffic",
        right=_REGION,
        rollouts=(_switch("llm", at=-0.4),),
        changes=_REGION_OUTAGE,
        slices=_IN_REGION,
    ),
    IncidentKind(
        name="dependency-outage",
        description="a provider that answers nothing for hours, whatever the version",
        right=_DEPENDENCY,
        changes=_OUTAGE,
        elsewhere=(ElsewhereChange(at=0.3, kind="dependency", name="provider-status"),),
        slices=("overall",),
    ),
    IncidentKind(
        name="dependency-outage-in-canary",
        description="a provider that fails in the middle of a canary of the language model",
        right=_DEPENDENCY,
        rollouts=(_canary("llm", at=-4.0),),
        changes=_OUTAGE,
        slices=("overall",),
    ),
    IncidentKind(
        name="dependency-outage-after-switch",
        description="a provider that fails right after an innocent switch of all traffic",
        right=_DEPENDENCY,
        rollouts=(_switch("llm", at=-0.4),),
        changes=_OUTAGE,
        slices=("overall",),
    ),
    IncidentKind(
        name="evening-load",
        description="an evening that is slow as every evening is, after an afternoon's switch",
        right=_NOTHING,
        rollouts=(_switch("llm", at=3.0),),
        changes=(
            IncidentChange(quantity="queue_ms", factor=8.0, daily=(18, 22)),
            IncidentChange(quantity="failed", factor=2.5, daily=(18, 22), code="timeout"),
        ),
    ),
    IncidentKind(
        name="traffic-surge",
        description="more than twice the traffic, and queues before every stage",
        right=_LOAD,
        changes=(
            IncidentChange(quantity="arrivals", factor=2.4, hours=5.0),
            IncidentChange(quantity="queue_ms", factor=30.0, hours=5.0),
            IncidentChange(quantity="failed", factor=4.0, hours=5.0, code="timeout"),
        ),
        elsewhere=(ElsewhereChange(at=0.0, kind="traffic", name="campaign"),),
        slices=("overall",),
    ),
    IncidentKind(
        name="traffic-mix",
        description="callers from cafes, who were always understood worse, come in great numbers",
        right=_MIX,
        mix=(TrafficMix(column="noise", value="cafe", share=0.6),),
    ),
    IncidentKind(
        name="pipeline-nulls",
        description="a pipeline that loses measurements of one region",
        right=_MEASUREMENT,
        changes=(IncidentChange(quantity="nulls", factor=0.4, only={"region": "eu"}),),
        slices=("region=eu", "overall"),
    ),
    IncidentKind(
        name="pipeline-units",
        description="a pipeline that writes microseconds of one region as milliseconds",
        right=_MEASUREMENT,
        changes=(IncidentChange(quantity="microseconds", factor=1.0, only={"region": "us"}),),
        slices=("region=us", "overall"),
    ),
    IncidentKind(
        name="abusive-tenant",
        description="a tenant that sends many times its traffic, and runs into its limits",
        right=_TENANT,
        changes=(
            IncidentChange(quantity="arrivals", factor=5.0, only={"tenant": "t6"}, hours=12.0),
            IncidentChange(quantity="tokens", factor=4.0, only={"tenant": "t6"}, hours=12.0),
            IncidentChange(
                quantity="failed",
                factor=8.0,
                only={"tenant": "t6"},
                hours=12.0,
                code="client_rate_limited",
            ),
        ),
        slices=("tenant=t6",),
    ),
    IncidentKind(
        name="two-at-once",
        description="two components that were deployed to the same sessions, one of them bad",
        right=_UNDETERMINED,
        rollouts=(_canary("llm", coin=9), _canary("retrieval", coin=9)),
        changes=(_of("llm", "ungrounded", 4.0),),
    ),
    IncidentKind(
        name="two-canaries",
        description="two canaries at the same time, each with its own coin, one of them bad",
        right=_RELEASE,
        rollouts=(_canary("llm"), _canary("retrieval")),
        guilty=0,
        changes=(_of("llm", "ungrounded", 4.0),),
        slices=("overall",),
    ),
    IncidentKind(
        name="two-versions-older",
        description="two versions in a row, of which the first was bad already",
        right=_RELEASE,
        rollouts=(_canary("llm"), _canary("llm", "3.3", at=20.0)),
        guilty=0,
        changes=(_of("llm", "bad_tool_args", 5.0),),
        slices=("overall",),
    ),
    IncidentKind(
        name="two-versions-newer",
        description="two versions in a row, of which only the second is bad",
        right=_RELEASE,
        rollouts=(_canary("llm", at=-20.0), _canary("llm", "3.3")),
        guilty=1,
        changes=(_of("llm", "bad_tool_args", 5.0, ("3.3",)),),
        slices=("overall",),
    ),
    IncidentKind(
        name="switch-guilty",
        description="a bad language model that got all traffic at once",
        right=_RELEASE,
        rollouts=(_switch("llm"),),
        guilty=0,
        changes=(_of("llm", "bad_tool_args", 4.0),),
        slices=("overall",),
    ),
    IncidentKind(
        name="switch-innocent",
        description="a language model that got all traffic at once, and is as good as the last",
        right=_NOTHING,
        rollouts=(_switch("llm"),),
    ),
    IncidentKind(
        name="switch-then-client-bug",
        description="an innocent switch of all traffic, and a client's bug an hour later",
        right=_CLIENT,
        rollouts=(_switch("llm", at=-0.9),),
        changes=(
            IncidentChange(
                quantity="failed", factor=7.0, only={"client": "web"}, code="client_protocol"
            ),
        ),
        slices=("client=web",),
    ),
    IncidentKind(
        name="regions-in-turn",
        description="a bad release that goes from region to region",
        right=_RELEASE,
        rollouts=tuple(
            _switch("llm", at=at, only={"region": region})
            for at, region in ((0.0, "sa"), (5.0, "ap"), (10.0, "us"), (15.0, "eu"))
        ),
        guilty=0,
        changes=(_of("llm", "bad_tool_args", 5.0),),
        slices=("overall",),
    ),
    IncidentKind(
        name="one-region-canary",
        description="a bad canary that one region alone gets, half of its sessions",
        right=_RELEASE,
        rollouts=(
            Rollout(component="llm", version="3.2", at=0.0, final=0.5, only={"region": "us"}),
        ),
        guilty=0,
        changes=(_of("llm", "failed", 5.0),),
        slices=("overall", "region=us"),
    ),
    IncidentKind(
        name="one-region-only",
        description="a release that one region alone got, all of it, and that region is worse",
        right=_UNDETERMINED,
        also=(_REGION,),
        rollouts=(_switch("llm", only={"region": "ap"}),),
        changes=(_of("llm", "failed", 6.0),),
        slices=_IN_REGION,
    ),
    IncidentKind(
        name="one-client-only",
        description="a client that alone has a release, for days already, and grows worse",
        right=_UNDETERMINED,
        also=(_CLIENT,),
        rollouts=(_switch("llm", at=-80.0, only={"client": "web"}),),
        changes=(IncidentChange(quantity="failed", factor=7.0, only={"client": "web"}),),
        slices=("client=web",),
    ),
    IncidentKind(
        name="too-little",
        description="a bad release in traffic that is too thin to tell",
        right=_UNDETERMINED,
        also=(_NOTHING, _NO_DATA),
        rollouts=(_canary("asr"),),
        changes=(_of("asr", "reprompt", 1.6, noise="car"),),
        volume=0.02,
    ),
    IncidentKind(
        name="nothing",
        description="rollouts of every component, and nothing that is worse",
        right=_NOTHING,
    ),
    IncidentKind(
        name="quiet",
        description="no rollout, and nothing that is worse",
        right=_NOTHING,
        quiet=True,
    ),
)

INCIDENT_KINDS: Mapping[str, IncidentKind] = MappingProxyType({kind.name: kind for kind in _KINDS})


def incident(name: str, *, seed: int = 0, turns_per_hour: float = 800.0) -> SimulatedIncident:
    """Return an incident of a kind; raises UsageError for an unknown one.

    The seed moves the onset, and every rollout beside it, by hours.
    """
    if name not in INCIDENT_KINDS:
        raise UsageError(
            f'there is no kind of incident "{name}"', hint=nearest(name, tuple(INCIDENT_KINDS))
        )
    kind = INCIDENT_KINDS[name]
    rng = np.random.Generator(np.random.SFC64([seed, 7]))
    onset = BASE_ONSET_HOURS + round(float(rng.random()) * _ONSET_JITTER_HOURS * 12) / 12
    jitter = {
        component: round(float(rng.uniform(-_JITTER_HOURS, _JITTER_HOURS)), 2)
        for component in VERSIONS
    }
    rollouts = [
        Rollout(
            component=component, version=VERSIONS[component][1], at=at - onset, steps=_LADDER[2:]
        )
        for component, at in _EARLIER.items()
    ]
    busy = {rollout.component for rollout in kind.rollouts}
    if not kind.quiet:
        rollouts += [
            Rollout(
                component=component,
                version=VERSIONS[component][2],
                at=at + jitter[component],
                steps=_LADDER,
            )
            for component, at in _BEFORE.items()
            if component not in busy
        ]
    rollouts += kind.rollouts
    return SimulatedIncident(
        kind=kind,
        seed=seed,
        turns_per_hour=turns_per_hour * kind.volume,
        start=START,
        hours=HOURS,
        onset_hours=onset,
        rollouts=tuple(sorted(rollouts, key=lambda rollout: rollout.at)),
    )
