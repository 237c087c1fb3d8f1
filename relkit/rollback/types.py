"""What a rollback is asked, what a ledger proves about a release, and where to go back to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relkit.core.values import named
from relkit.registry.types import Attested, Release, ReleaseEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked: the first-bad set, a named target, the failing slice, and the time."""

    now: str
    bad: tuple[str, ...] = ()
    to: str | None = None
    slice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What one release went through, by its own ledger; times are UTC.

    ``place`` counts releases as registered, from 0. ``records`` are the digests of its record that
    the ledger names. ``full`` is its latest event of full traffic. ``gate`` is the promotion that
    shows a passed gate and names its decision, None without one, and then ``ungated`` says why.
    ``left_by`` is the rollback that left it behind, where it was not promoted again since;
    ``worse`` are those that removed it for a slice. ``verified`` is the newest verification since
    its last change.
    """

    version: str
    place: int
    records: tuple[str, ...]
    full: ReleaseEvent | None
    gate: ReleaseEvent | None
    ungated: str
    legacy: bool
    yanked: ReleaseEvent | None
    left_by: ReleaseEvent | None
    worse: tuple[ReleaseEvent, ...]
    verified: ReleaseEvent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackService:
    """The service of a component's release in stacks that pinned it and held full traffic.

    ``stack`` names the newest such release, ``at`` since when it had all traffic, ``gate`` the
    promotion of a stack with it behind which a gate passed.
    """

    stack: str
    at: str
    gate: ReleaseEvent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A release that rollback may not go to, and why."""

    version: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackTarget:
    """Where to go back to and why.

    ``target`` is None where no release fits; ``refused`` lists every release that was looked at
    with its reason, newest first. ``bad`` is the whole first-bad set, ``live`` what is served now,
    ``slice`` the one that fails. ``evidence`` says in words what speaks for the target; ``steps``
    is the plan, ``checklist`` what people check after it. For a stack ``revert`` maps each
    component to go back to its version, and ``alternatives`` are further sets, the next best first.
    """

    model: str
    live: str | None
    bad: tuple[str, ...]
    slice: str | None
    target: str | None
    attested: Attested = "none"
    revert: Mapping[str, str] = field(default_factory=dict)
    alternatives: tuple[Mapping[str, str], ...] = ()
    refused: tuple[Refused, ...]
    evidence: tuple[str, ...] = ()
    steps: tuple[str, ...] = field(default=(), metadata=named("plan"))
    checklist: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """Where a model goes back to, None where every release is ``refused``; newest first."""

    bad: tuple[str, ...]
    target: Release | None
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The events that were appended, and whether a mirror was told."""

    events: tuple[ReleaseEvent, ...] = ()
    mirrored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """What is bad: component to bad versions, and what the last good stack pinned.

    ``stacks`` are the bad releases of the stack itself, as registered, ``last_good`` the one before
    them. ``brought_in`` maps each to its suspected pins, or says why they cannot be told.
    """

    bad: Mapping[str, frozenset[str]] = field(default_factory=dict)
    stacks: tuple[str, ...] = ()
    last_good: Release | None = None
    brought_in: Mapping[str, Mapping[str, str] | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackAnswer:
    """Where a stack goes back to; ``target`` is None where everything is refused.

    ``running`` are the components that run, ``revert`` those to go back and their releases.
    ``release`` is the release of the stack that the target is, ``nearest`` one that could be gone
    back to where it is none. ``gone``: nothing bad is running. ``exhausted``: the bound ended the
    search; ``smallest``: no smaller set will do. ``alternatives`` are further sets of versions.
    """

    bad: tuple[str, ...]
    refused: tuple[Refused, ...]
    target: str | None = None
    suspects: Suspects = Suspects()
    running: Mapping[str, Release] = field(default_factory=dict)
    revert: Mapping[str, Release] = field(default_factory=dict)
    release: str | None = None
    nearest: str | None = None
    gone: bool = False
    exhausted: bool = False
    smallest: bool = False
    alternatives: tuple[Mapping[str, str], ...] = ()


Rank = tuple[int, int, tuple[tuple[str, int], ...]]
"""How many components go back, how many releases in all, and how far each; smaller is better."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A version a component could go back to; ``back`` counts registered releases."""

    release: Release
    back: int


@dataclass(frozen=True, slots=True)
class RevertSet:
    """One answer of a search; ``choices`` by component."""

    rank: Rank
    choices: Mapping[str, Choice]

    @property
    def versions(self) -> dict[str, str]:
        """Component to version."""
        return {name: choice.release.version for name, choice in self.choices.items()}
