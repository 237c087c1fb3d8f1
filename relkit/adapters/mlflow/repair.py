"""The child's task ``repair``: makes one registered model say what is wanted.

MLflow has no compare-and-set, so every alias is read right before it is moved and again after. No
request is sent twice: where one failed, what is there is read, and if the write was done after all,
it counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from relkit.adapters.mlflow.registering import Progress, client_of, model_of, versions_of
from relkit.core.errors import BackendUnavailable
from relkit.registry.mirror import (
    ALIASES,
    SEQUENCE,
    Wanted,
    WantedModel,
    alias_difference,
    matched,
    named,
    stranger,
    told_sequence,
    wrong_tags,
)
from relkit.registry.types import MirrorModel, MirrorVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient


def repair(order: Mapping[str, Any], progress: Progress) -> list[str]:
    """Make a model say what is wanted; return what was changed, in words."""
    given = order["wanted"]
    wanted = WantedModel(
        **{
            **given,
            "versions": tuple(Wanted(**one) for one in given["versions"]),
            "allowed": {
                name: tuple((sequence, version) for sequence, version in places)
                for name, places in given["allowed"].items()
            },
        }
    )
    return _Keeper(client_of(order), wanted, progress).repair()


class _Keeper:
    """One model while it is brought up to date."""

    def __init__(self, client: "MlflowClient", wanted: WantedModel, progress: Progress) -> None:
        self._client = client
        self._wanted = wanted
        self._progress = progress
        self._changes: list[str] = []
        self._found = MirrorModel()

    def repair(self) -> list[str]:
        """Do all of it in an order in which a kill leaves nothing that is not found again."""
        wanted = self._wanted
        self._found = self._read()
        told = told_sequence(self._found)
        if wanted.guarded and told is not None and told > wanted.sequence:
            raise BackendUnavailable(
                f"the mirror was told of event {told} of {wanted.model}, and this ledger ends at "
                f"{wanted.sequence}",
                hint="somebody else appended: git pull, then relkit registry verify --repair",
            )
        if not wanted.versions and not self._found.there:
            return []
        if wanted.guarded:
            self._refuse_strangers(ALIASES)
        self._make_model()
        self._make_versions(told)
        for name in ALIASES:
            self._move(name)
        self._tell_sequence()
        self._prove()
        return [f"{wanted.model}: {change}" for change in self._changes]

    def _read(self) -> MirrorModel:
        name = self._wanted.model
        head = self._head()
        if not head.there:
            return head
        versions = tuple(
            MirrorVersion(number=str(one.version), source=one.source or "", tags=dict(one.tags))
            for one in versions_of(self._client, name, self._progress)
        )
        return replace(head, versions=versions)

    def _head(self) -> MirrorModel:
        """Return the model as it is now, with the versions that were read before."""
        self._progress()
        model = model_of(self._client, self._wanted.model)
        if model is None:
            return MirrorModel()
        return MirrorModel(
            versions=self._found.versions,
            aliases={alias: str(number) for alias, number in model.aliases.items()},
            tags=dict(model.tags),
            there=True,
        )

    def _write(
        self,
        action: Callable[[], object],
        done: Callable[[MirrorModel], bool],
        change: str | None,
        *,
        whole: bool = False,
    ) -> None:
        """Write once; where that fails, what is there says whether it was done after all."""
        from google.protobuf.json_format import (  # type: ignore[import-untyped]  # no stubs
            ParseError,
        )
        from mlflow.exceptions import MlflowException

        self._progress()
        try:
            action()
        except (MlflowException, ParseError, ValueError) as error:
            try:
                self._found = self._read()
            except (MlflowException, ParseError, ValueError, BackendUnavailable):
                raise error from None
            if not done(self._found):
                raise
        else:
            self._found = self._read() if whole else self._head()
        if change is not None:
            self._changes.append(change)

    def _make_model(self) -> None:
        if not self._found.there:
            name = self._wanted.model
            self._write(
                lambda: self._client.create_registered_model(name),
                lambda found: found.there,
                "the registered model was made",
            )

    def _make_versions(self, told: int | None) -> None:
        for wants in self._wanted.versions:
            there = matched(self._wanted, self._found).get(wants.version)
            if there is None:
                known = told is not None and wants.registered <= told
                if not (self._wanted.guarded and known):  # deleted: that is for people to repair
                    self._make_version(wants)
            else:
                for name, value in wrong_tags(wants, there).items():
                    self._tag(wants, there, name, value)

    def _make_version(self, wants: Wanted) -> None:
        def create() -> object:
            return self._client.create_model_version(
                self._wanted.model, wants.source, tags=dict(wants.tags), await_creation_for=0
            )

        self._write(
            create,
            lambda found: wants.version in matched(self._wanted, found),
            f"{wants.version} was made",
            whole=True,
        )

    def _tag(self, wants: Wanted, there: MirrorVersion, name: str, value: str | None) -> None:
        model, number = self._wanted.model, there.number

        def done(found: MirrorModel) -> bool:
            versions = (one for one in found.versions if one.number == number)
            return any(one.tags.get(name) == value for one in versions)

        def write() -> None:
            if value is None:
                self._client.delete_model_version_tag(model, number, name)
            else:
                self._client.set_model_version_tag(model, number, name, value)

        change = f"{wants.version}: the tag {name} is {'gone' if value is None else value}"
        self._write(write, done, change)

    def _refuse_strangers(self, names: tuple[str, ...]) -> None:
        for name in names:
            why = stranger(self._wanted, self._found, name)
            if why is not None:
                raise _diverged(why, self._wanted.model)

    def _move(self, name: str) -> None:
        """Move one alias if it is not right; it is read right before."""
        self._found = self._head()
        there = matched(self._wanted, self._found)
        if alias_difference(self._wanted, self._found, there, name) is None:
            return
        if self._wanted.guarded:
            self._refuse_strangers((name,))
        model, version = self._wanted.model, self._wanted.aliases[name]
        before = self._found.aliases.get(name)
        shown = "none" if before is None else named(before, there)
        if version is None:
            self._write(
                lambda: self._client.delete_registered_model_alias(model, name),
                lambda found: name not in found.aliases,
                f"the alias {name}: {shown} → none",
            )
            return
        if version not in there:
            raise _diverged(f"{model} {version} was deleted from the mirror", model)
        number = there[version].number
        self._write(
            lambda: self._client.set_registered_model_alias(model, name, number),
            lambda found: found.aliases.get(name) == number,
            f"the alias {name}: {shown} → {version}",
        )

    def _tell_sequence(self) -> None:
        text = str(self._wanted.sequence)
        if self._found.tags.get(SEQUENCE) != text:
            model = self._wanted.model
            self._write(
                lambda: self._client.set_registered_model_tag(model, SEQUENCE, text),
                lambda found: found.tags.get(SEQUENCE) == text,
                None,
            )

    def _prove(self) -> None:
        """Read once more: what was answered is not believed."""
        self._found = self._head()
        there = matched(self._wanted, self._found)
        for name in ALIASES:
            wrong = alias_difference(self._wanted, self._found, there, name)
            if wrong is not None:
                raise _diverged(f"{wrong}: somebody else moved it meanwhile", self._wanted.model)


def _diverged(why: str, model: str) -> BackendUnavailable:
    return BackendUnavailable(
        why, hint=f"ask who did it, then: relkit registry verify {model} --repair"
    )
