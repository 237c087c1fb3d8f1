"""Whether a release fits what is running, and every misfit in words.

See docs/method.md, section "Rollback".

What is running sets what is needed. Per field of the interface:

- running and target both state it: they have to fit (below);
- running states it, the target does not: a misfit, since nothing says that it fits;
- only the target states it: no misfit, since nothing running is known to need it, but said as a
  note, since nobody can have checked it;
- neither states it: nothing to hold.

Sample rate, label schema, feature schema and tokenizer have to be equal. An API version has to
offer what the running one does: the same major number and no smaller minor one, and equality for
names that are not numeric. The target has to have every language that is running.

Partners are held by ranges both ways: what the release requires of what runs beside it, and what
that requires of the release. A required partner that does not run is a misfit.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from relkit.registry.types import Interface, Release
from relkit.registry.versions import VersionRange, same_or_newer_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What is served now beside a release: partner model to its live release.

    ``orders`` maps a model to its versions as registered, oldest first, for versions that are not
    numeric.
    """

    partners: Mapping[str, Release] = field(default_factory=dict)
    orders: Mapping[str, Sequence[str]] = field(default_factory=dict)


_EQUAL: tuple[tuple[str, Callable[[Interface], str | None]], ...] = (
    (
        "sample rate",
        lambda i: None if i.sample_rate_hz is None else f"{i.sample_rate_hz} Hz",
    ),
    ("label schema", lambda i: i.label_schema),
    ("feature schema", lambda i: i.feature_schema),
    ("tokenizer", lambda i: i.tokenizer),
)


def interface_misfits(target: Release, running: Release) -> tuple[str, ...]:
    """Return why a release cannot take the place of the running one; none where it can."""
    new, old = target.interface, running.interface
    found = []
    if target.component != running.component:
        found.append(f"it is of the component {target.component}, what runs is {running.component}")
    for name, of in _EQUAL:
        found += _unequal(name, of(new), of(old))
    found += _api(new.api_version, old.api_version)
    found += _languages(new.languages, old.languages)
    return tuple(found)


def _unequal(name: str, new: str | None, old: str | None) -> list[str]:
    if old is None or new == old:
        return []
    if new is None:
        return [f"it does not state its {name}, and what runs has {old}"]
    return [f"its {name} is {new}, and what runs has {old}"]


def _api(new: str | None, old: str | None) -> list[str]:
    if old is None or new is None or same_or_newer_minor(new, old):
        return [] if old is None or new is not None else _unequal("API version", new, old)
    return [f"its API version is {new}, which does not offer what {old} does, and {old} runs"]


def _languages(new: tuple[str, ...], old: tuple[str, ...]) -> list[str]:
    if not old:
        return []
    if not new:
        return [f"it does not state its languages, and what runs serves {', '.join(old)}"]
    served = {language.casefold() for language in new}
    lost = [language for language in old if language.casefold() not in served]
    return [f"it does not serve {', '.join(lost)}, which is running"] if lost else []


def only_stated_by(target: Release, running: Release) -> tuple[str, ...]:
    """Return what a release states and the running one does not, as notes for people."""
    new, old = target.interface, running.interface
    pairs = [(name, of(new), of(old)) for name, of in _EQUAL]
    pairs.append(("API version", new.api_version, old.api_version))
    pairs.append(("languages", ", ".join(new.languages) or None, ", ".join(old.languages) or None))
    return tuple(
        f"{target.version} states its {name} ({has}), what runs does not: nobody checked that "
        "it fits"
        for name, has, runs in pairs
        if has is not None and runs is None
    )


def partner_misfits(
    release: Release, running: Running, *, inside: Container[str] = ()
) -> tuple[str, ...]:
    """Return where the ranges of a release and of what runs beside it do not hold, both ways.

    Models ``inside`` the same stack are left out: they may change together with it.
    """
    found = []
    for partner in sorted(set(release.requires)):
        if partner in inside:
            continue
        wanted = f"it requires {partner} {release.requires[partner]}"
        live = running.partners.get(partner)
        if live is None:
            found.append(f"{wanted}, and no {partner} is running")
            continue
        order = running.orders.get(partner, ())
        if why := range_misfit(release.requires[partner], live.version, order):
            found.append(f"{wanted}, {why}")
    order = running.orders.get(release.model, ())
    for name in sorted(running.partners):
        asked = running.partners[name].requires.get(release.model)
        if asked is None or name in inside:
            continue
        if why := range_misfit(asked, release.version, order):
            partner = f"{name} {running.partners[name].version}"
            found.append(f"{partner} is running and requires {release.model} {asked}, {why}")
    return tuple(found)


def range_misfit(wanted: str, version: str, order: Sequence[str] = ()) -> str | None:
    """Return why a version is not in a range, None where it is; a range that is none is said."""
    try:
        inside = VersionRange.parse(wanted).holds(version, order)
    except ValueError as error:
        return f"which cannot be read: {error}"
    return None if inside else f"which {version} is not"


def fit_each_other(one: Release, other: Release, orders: Mapping[str, Sequence[str]]) -> bool:
    """Return whether two releases accept each other's version; no range accepts every version."""
    return all(
        partner.model not in release.requires
        or range_misfit(
            release.requires[partner.model], partner.version, orders.get(partner.model, ())
        )
        is None
        for release, partner in ((one, other), (other, one))
    )
