"""What ``relkit cost`` tells people: verdict, figures, why they changed, what is missing."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

from relkit.core.wording import NONE, columns, count, counted, number, safe
from relkit.monitoring.cost.effects import rounded
from relkit.monitoring.cost.judging import ARM_NAMES, DENOMINATOR_NAMES, grown, why_unpriced
from relkit.monitoring.cost.types import (
    CheckedPrices,
    CostReport,
    CostSlice,
    ImportedPrices,
    NotPriced,
    Two,
    Validity,
)

_MOST_SLICES = 8
_MOST_UNPRICED = 8
_MOST_LISTED = 20

_PER = (1_000, 1_000_000)
"""Effects are shown per so many calls: those of one call, or of a few, are fractions of a cent."""

_WORDS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "UNDECIDED", "no_data": "NO DATA"}


def cost_text(report: CostReport) -> str:
    """Return what ``relkit cost`` prints, for a terminal of 80 columns."""
    blocks = [
        _head(report),
        _figures(report),
        _effects(report),
        _slices(report),
        _words(report),
        _unpriced(report),
        [f"note: {note}" for note in report.notes],
    ]
    return "\n\n".join("\n".join(map(safe, lines)) for lines in blocks if lines)


def _head(report: CostReport) -> list[str]:
    word = _WORDS[report.verdict]
    headline = f"{word}: {report.reason}"
    if report.enforcement == "shadow":
        headline = f"SHADOW: would be {word}: {report.reason}"
    arms = [
        f"{name} {counted(calls, 'call')} in {counted(sessions, 'session')}"
        for name, calls, sessions in zip(ARM_NAMES, report.calls, report.sessions, strict=True)
    ]
    return [headline, f"policy {report.policy.name} ({report.enforcement}): {', '.join(arms)}"]


def _figures(report: CostReport) -> list[str]:
    rows = [[f"cost, {report.currency or 'unknown currency'}", "baseline", "candidate", "change"]]
    figures: Sequence[tuple[str, Two]] = (
        ("per call", report.cost_per_call),
        ("per session", report.cost_per_session),
        ("per audio minute", report.cost_per_audio_minute),
        ("per success", report.cost_per_success),
        ("in all", report.cost),
    )
    for name, (old, new) in figures:
        change = NONE
        if old and new is not None and name != "in all":
            change = grown(new / old - 1, sign=True)
        rows.append([name, _money(old), _money(new), change])
    return columns(rows).split("\n")


def _money(amount: float | None) -> str:
    """Return an amount in cents, and with four digits that say something where it is small."""
    if amount is None:
        return NONE
    return f"{amount:,.2f}" if abs(amount) >= 10 or not amount else f"{amount:.4g}"  # noqa: PLR2004 - cents say enough


def _effects(report: CostReport) -> list[str]:
    """Return the effects on many calls: to the cent, they add up to the change."""
    parts = (report.usage_effect, report.price_effect, report.mix_effect, report.billed_effect)
    if any(part is None for part in parts):
        return []
    largest = max(abs(part or 0.0) for part in parts)
    per = next((n for n in _PER if largest * n >= 1), _PER[-1])
    exact = [Fraction(str(part)) * per for part in parts]
    names = [
        "usage (at old prices and mix)",
        "price (at new usage)",
        "mix (between models and slices)",
        "billed (usage and price together)",
    ]
    amounts = rounded(exact, 2)
    shown = [
        (name, amount)
        for name, amount in zip(names, amounts, strict=True)
        if amount or not name.startswith("billed")
    ]
    rows = [[f"why {counted(per, 'call')} cost more or less", report.currency]]
    rows += [[f"  {name}", f"{amount:+,.2f}"] for name, amount in shown]
    rows.append(["  together", f"{sum(amounts):+,.2f}"])
    return columns(rows).split("\n")


def _slices(report: CostReport) -> list[str]:
    slices = [part for part in report.slices if part.cost != (None, None)]
    if not slices:
        return []
    head = [f"slices by cost per {DENOMINATOR_NAMES[report.gated]}", "baseline", "candidate"]
    rows = [[*head, "change", "95 % interval"]]
    rows += [
        [part.slice, _money(part.cost[0]), _money(part.cost[1]), _change(part), _ends(part)]
        for part in slices[:_MOST_SLICES]
    ]
    lines = columns(rows).split("\n")
    hidden = len(slices) - _MOST_SLICES
    return [*lines, "they advise: the verdict is about all sessions"] + (
        [f"{count(hidden)} more: --json has all"] if hidden > 0 else []
    )


def _change(part: CostSlice) -> str:
    return NONE if part.delta_pct is None else grown(part.delta_pct, sign=True)


def _ends(part: CostSlice) -> str:
    if part.low is None or part.high is None:
        return NONE
    return f"{grown(part.low, sign=True)} to {grown(part.high, sign=True)}"


def _words(report: CostReport) -> list[str]:
    if not report.tokens_per_word:
        return ["tokens per word: not available (no column words or partial_words)"]
    rows = [["tokens per word", "baseline", "candidate"]]
    rows += [
        [language, *(NONE if n is None else number(n, "ratio") for n in tokens)]
        for language, tokens in report.tokens_per_word.items()
    ]
    return columns(rows).split("\n")


def _unpriced(report: CostReport) -> list[str]:
    if not report.unpriced:
        return ["unpriced: none"]
    rows = [["unpriced calls", "baseline", "candidate"]]
    rows += [
        [why_unpriced(part.model, part.code, part.unit), *map(count, part.calls)]
        for part in report.unpriced[:_MOST_UNPRICED]
    ]
    hidden = len(report.unpriced) - _MOST_UNPRICED
    return columns(rows).split("\n") + (
        [f"{count(hidden)} more: --json has all"] if hidden > 0 else []
    )


def price_import_text(imported: ImportedPrices) -> str:
    """Return what an import tells: how many models have a price, and what was left out and why."""
    table = imported.table
    head = (
        f"{imported.format}: {counted(len(table.models), 'model')} of {count(imported.entries)}"
        f" {'has' if len(table.models) == 1 else 'have'} a price in {table.currency}"
        f" from {table.valid.from_} on;"
        f" {count(imported.entries - len(table.models))} were left out"
    )
    lines = [head]
    whole = [entry for entry in imported.not_priced if entry.model not in table.models]
    keys = [entry for entry in imported.not_priced if entry.model in table.models]
    lines += _by_reason("models left out", [entry for entry in whole if entry.key is None])
    lines += _by_reason("prices of others that are not in it", keys)
    if imported.not_priced:
        lines += ["", f"--json lists all {counted(len(imported.not_priced), 'entries')}"]
    return "\n".join(map(safe, lines))


def _by_reason(title: str, entries: Sequence[NotPriced]) -> list[str]:
    """Return how many entries there are of each reason, with the first as an example."""
    by_reason: dict[str, list[NotPriced]] = {}
    for entry in entries:
        by_reason.setdefault(entry.reason, []).append(entry)
    ordered = sorted(by_reason.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    rows = [
        [reason, count(len(same)), f"e.g. {same[0].key or same[0].model}"]
        for reason, same in ordered[:_MOST_LISTED]
    ]
    hidden = len(ordered) - _MOST_LISTED
    if not rows:
        return []
    more = [f"  {count(hidden)} more reasons"] if hidden > 0 else []
    return ["", f"{title}:", *columns(rows, to_left=(0, 2), indent=2).split("\n"), *more]


def checked_text(checked: CheckedPrices) -> str:
    """Return what a check of a price table tells."""
    head = (
        f"{counted(checked.models, 'model')} in {checked.currency}, {validity_text(checked.valid)}"
    )
    if not checked.suspicions:
        return f"PASS: {head}"
    lines = [f"FAIL: {head}; {counted(len(checked.suspicions), 'price')} to look at"]
    lines += _doubts(checked.suspicions)
    return "\n".join(map(safe, lines))


def _doubts(entries: Iterable[NotPriced]) -> list[str]:
    return [
        f"  {entry.model}{f', {entry.key}' if entry.key else ''}: {entry.reason}"
        for entry in entries
    ]


def validity_text(valid: Validity) -> str:
    """Return ``from 2026-11-01 to 2026-11-30``, or ``from 2026-11-01 on``."""
    return f"from {valid.from_} on" if valid.to is None else f"from {valid.from_} to {valid.to}"
