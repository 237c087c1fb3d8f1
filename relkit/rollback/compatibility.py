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


_FIELDS: tuple[tuple[str, Callable[[Interface], str | None]], ...] = (
    ("sample rate", lambda i: None if i.sample_rate_hz is None else f"{i.sample_rate_hz} Hz"),
    ("label schema", lambda i: i.label_schema),
    ("feature schema", lambda i: i.feature_schema),
    ("tokenizer", lambda i: i.tokenizer),
    ("API version", lambda i: i.api_version),
    ("languages", lambda i: ", ".join(i.languages) or None),
)


def interface_misfits(target: Release, running: Release) -> tuple[str, ...]:
    """Return why a release cannot take the place of the running one; none where it can."""
    misfits = []
    if target.component != running.component:
        misfits.append(
            f"it is of the component {target.component}, what runs is {running.component}"
        )
    for name, of in _FIELDS:
        new, old = of(target.interface), of(running.interface)
        if old is None or new == old:
            continue
        if new is None:
            has = "serves" if name == "languages" else "has"
            misfits.append(f"it does not state its {name}, and what runs {has} {old}")
        elif name == "languages":
            served = {language.casefold() for language in target.interface.languages}
            lost = [code for code in running.interface.languages if code.casefold() not in served]
            misfits += [f"it does not serve {', '.join(lost)}, which is running"] if lost else []
        elif name != "API version":
            misfits.append(f"its {name} is {new}, and what runs has {old}")
        elif not same_or_newer_minor(new, old):
            misfits.append(
                f"its API version is {new}, which does not offer what {old} does, and {old} runs"
            )
    return tuple(misfits)


def only_stated_by(target: Release, running: Release) -> tuple[str, ...]:
    """Return what a release states and the running one does not, as notes for people."""
    return tuple(
        f"{target.version} states its {name} ({of(target.interface)}), what runs does not: nobody "
        "checked that it fits"
        for name, of in _FIELDS
        if of(target.interface) is not None and of(running.interface) is None
    )


def partner_misfits(
    release: Release, running: Running, *, inside: Container[str] = ()
) -> tuple[str, ...]:
    """Return where the ranges of a release and of what runs beside it do not hold, both ways.

    Models ``inside`` the same stack are left out: they may change together with it.
    """
    misfits = []
    for partner in sorted(set(release.requires)):
        if partner in inside:
            continue
        requirement = f"it requires {partner} {release.requires[partner]}"
        live = running.partners.get(partner)
        if live is None:
            misfits.append(f"{requirement}, and no {partner} is running")
            continue
        order = running.orders.get(partner, ())
        if why := range_misfit(release.requires[partner], live.version, order):
            misfits.append(f"{requirement}, {why}")
    order = running.orders.get(release.model, ())
    for name, partner_release in sorted(running.partners.items()):
        required = partner_release.requires.get(release.model)
        if required is None or name in inside:
            continue
        if why := range_misfit(required, release.version, order):
            misfits.append(
                f"{name} {partner_release.version} is running and requires {release.model} "
                f"{required}, {why}"
            )
    return tuple(misfits)


def range_misfit(required: str, version: str, order: Sequence[str] = ()) -> str | None:
    """Return why a version is not in a range, None where it is; a range that is none is said."""
    try:
        inside = VersionRange.parse(required).holds(version, order)
    except ValueError as error:
        return f"which cannot be read: {error}"
    return None if inside else f"which {version} is not"


def fit_each_other(first: Release, second: Release, orders: Mapping[str, Sequence[str]]) -> bool:
    """Return whether two releases accept each other's version; no range accepts every version."""
    return all(
        partner.model not in release.requires
        or range_misfit(
            release.requires[partner.model], partner.version, orders.get(partner.model, ())
        )
        is None
        for release, partner in ((first, second), (second, first))
    )
