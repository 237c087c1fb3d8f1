"""Triage policies (YAML) and what changed elsewhere (JSON lines): text to types."""

from relkit.core import yaml_text
from relkit.core.codec import parse, parse_json, parse_yaml
from relkit.core.errors import InvalidInput
from relkit.core.values import duration_s
from relkit.core.yaml_text import LinesOfKeys, shown, where
from relkit.incident.signals import SHIPPED_SIGNALS
from relkit.incident.types import BIN_S, AbusePolicy, OtherEvent, TriagePolicy
from relkit.telemetry.columns import is_of_persons

_HOUR_S = 3600.0


def parse_triage_policy(text: str, *, source: str) -> TriagePolicy:
    """Return a policy from YAML; raises InvalidInput with file, line and what to do."""
    _, lines = yaml_text.load(text, source=source)
    policy = parse_yaml(text, TriagePolicy, source=source)

    def refuse(key: str, problem: str, hint: str) -> InvalidInput:
        return InvalidInput(f"{where(source, lines.get((key,)))}: {problem}", hint=hint)

    _check_windows(policy, lines, source)
    _check_signals(policy, lines, source)
    for name in policy.slices or ():
        if is_of_persons(name):
            raise refuse(
                "slices",
                f'slices: "{shown(name)}" names persons, whom no result may hold',
                "slice by what they have in common",
            )
    if policy.slices is not None and len(set(policy.slices)) != len(policy.slices):
        raise refuse("slices", "slices: one stands twice", "name each column once")
    return policy


def parse_abuse_policy(text: str, *, source: str) -> AbusePolicy:
    """Return a policy from YAML; raises InvalidInput with file, line and what to do."""
    _, lines = yaml_text.load(text, source=source)
    policy = parse_yaml(text, AbusePolicy, source=source)
    _check_windows(policy, lines, source)
    of_tenant: dict[str, str] = {}
    for name, tenants in policy.classes.items():
        for tenant in tenants:
            if of_tenant.setdefault(tenant, name) != name:
                at = where(source, lines.get(("classes", name)))
                raise InvalidInput(
                    f"{at}: a tenant is in two classes", hint="name each tenant in one class"
                )
    return policy


def _check_windows(policy: TriagePolicy | AbusePolicy, lines: LinesOfKeys, source: str) -> None:
    """Raise InvalidInput for windows that cannot be searched."""

    def refuse(key: str, problem: str, hint: str) -> InvalidInput:
        return InvalidInput(f"{where(source, lines.get((key,)))}: {problem}", hint=hint)

    window = duration_s(policy.window)
    if window % BIN_S or _HOUR_S % window:
        raise refuse(
            "window",
            f"window: {policy.window} is no part of an hour in whole five minutes",
            "5m, 10m, 15m, 20m, 30m or 1h",
        )
    if duration_s(policy.recent) < 4 * window:
        raise refuse("recent", "recent: is under four windows", "such as recent: 48h")
    if duration_s(policy.reference) < 24 * _HOUR_S:
        raise refuse("reference", "reference: is under a day", "such as reference: 3d")


def _check_signals(policy: TriagePolicy, lines: LinesOfKeys, source: str) -> None:
    """Raise InvalidInput for a signal that is there already, or that says two things."""
    names = [signal.name for signal in SHIPPED_SIGNALS]
    for i, signal in enumerate(policy.signals):
        at = where(source, lines.get(("signals", i)))
        if signal.name in names:
            raise InvalidInput(
                f'{at}: a signal "{shown(signal.name)}" is there already', hint="call it another"
            )
        names.append(signal.name)
        if signal.above is not None and signal.over is not None:
            raise InvalidInput(
                f"{at}: above and over exclude each other",
                hint="above: 0.95 is a quantile of the reference, over: 0 a number",
            )
        if signal.above is not None and not 0 < signal.above < 1:
            raise InvalidInput(f"{at}: above: is no quantile", hint="for example above: 0.95")


def parse_other_events(text: str, *, source: str) -> tuple[OtherEvent, ...]:
    """Return what changed elsewhere, by time; raises InvalidInput with file and line."""
    events = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            document = parse_json(line, source=source, line=number)
            events.append(parse(OtherEvent, document, source=where(source, number)))
    return tuple(sorted(events, key=lambda event: event.at))
