"""The child's tasks ``read`` and ``repair``: registered models, metadata only.

``repair`` makes one model say what the ledger says. MLflow has no compare-and-set, so every alias
is read right before it is moved and again after. No request is sent twice: where one failed, what
is there is read, and if the write was done after all, it counts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from relkit.core.errors import BackendUnavailable
from relkit.registry.mirror import (
    ALIASES,
    SEQUENCE,
    alias_difference,
    alias_differences,
    is_dangling,
    matched,
    mirrored_sequence,
    moved_by_others,
    name_of,
    spellings,
    wrong_tags,
)
from relkit.registry.types import MirrorModel, MirrorVersion, RequiredModel, RequiredVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel


_PAGE = 200
_GONE = "RESOURCE_DOES_NOT_EXIST"
NO_JSON = "its answer is not MLflow's: a login page or a proxy may be in the way"
_CLOSED = {"ConnectionError", "ProtocolError", "RemoteDisconnected", "ChunkedEncodingError"}
_INDIRECT = ("runs:", "models:")
Ask = Callable[[], None]
"""Called before each request, for the deadline of a step."""


def failure_of(error: BaseException, otherwise: str) -> str:
    """Return why MLflow's client gave up, in a few words: never its own, which hold addresses."""
    names = set()
    behind: BaseException | None = error
    while behind is not None:
        names.add(type(behind).__name__)
        behind = behind.__cause__ or behind.__context__
    if any("Timeout" in name for name in names):
        return "no answer in time"
    if names & _CLOSED:
        return "it closed the connection"
    if names & {"ParseError", "JSONDecodeError"} or "valid JSON" in str(error):
        return NO_JSON
    return str(getattr(error, "error_code", otherwise))


def read(order: Mapping[str, Any], progress: Ask) -> dict[str, object]:
    """Return models by name as plain documents; ``names`` None: all that there are.

    A model that does not exist has no entry.
    """
    client = client_of(order)
    names = order["names"]
    models: dict[str, object] = {}
    if names is None:
        names = sorted(model.name for model in _pages(client.search_registered_models, progress))
    for name in names:
        progress()
        model = model_of(client, name)
        if model is None:
            continue
        versions = [
            {
                "number": str(version.version),
                "source": version.source or "",
                "tags": dict(version.tags),
                "created_ms": version.creation_timestamp,
                "run": version.run_id or None,
                "stage": version.current_stage or None,
                "location": _location(client, version, progress) if order["locations"] else "",
            }
            for version in versions_of(client, name, progress)
        ]
        models[name] = {
            "tags": dict(model.tags),
            "aliases": {alias: str(number) for alias, number in model.aliases.items()},
            "versions": versions,
        }
    return models


def client_of(order: Mapping[str, Any]) -> "MlflowClient":
    """Return a client of the address that an order names."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=order["uri"], registry_uri=order["uri"])


def model_of(client: "MlflowClient", name: str) -> "RegisteredModel | None":
    """Return a registered model, None where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == _GONE:
            return None
        raise
    if model.name != name:
        raise BackendUnavailable(NO_JSON)
    return model


def versions_of(client: "MlflowClient", name: str, progress: Ask) -> Iterator["ModelVersion"]:
    """Yield the versions of a registered model, page by page."""
    quote = '"' if "'" in name else "'"
    yield from _pages(partial(client.search_model_versions, f"name={quote}{name}{quote}"), progress)


def _pages(search: Callable[..., Any], progress: Ask) -> Iterator[Any]:
    token = None
    while True:
        progress()
        page = search(max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _location(client: "MlflowClient", version: "ModelVersion", progress: Ask) -> str:
    """Return where a source leads to, empty where the server does not know."""
    from mlflow.exceptions import MlflowException

    if not (version.source or "").startswith(_INDIRECT):
        return version.source or ""
    progress()
    try:
        return client.get_model_version_download_uri(version.name, str(version.version)) or ""
    except MlflowException as error:
        if error.error_code == "INTERNAL_ERROR":
            raise
        return ""


def repair(order: Mapping[str, Any], progress: Ask) -> list[str]:
    """Make a model say what is required; return what was changed, in words."""
    document = order["required"]
    required = RequiredModel(
        **{
            **document,
            "versions": tuple(RequiredVersion(**version) for version in document["versions"]),
            "allowed": {
                name: tuple((sequence, version) for sequence, version in places)
                for name, places in document["allowed"].items()
            },
        }
    )
    return _Repair(client_of(order), required, progress).repair()


class _Repair:
    def __init__(self, client: "MlflowClient", required: RequiredModel, progress: Ask) -> None:
        self._client = client
        self._required = required
        self._model = required.model
        self._progress = progress
        self._changes: list[str] = []
        self._current = MirrorModel()

    def repair(self) -> list[str]:
        """Do all of it in an order in which a kill leaves nothing that is not found again."""
        required = self._required
        self._current = self._read()
        sequence = mirrored_sequence(self._current)
        if required.guarded and sequence is not None and sequence > required.sequence:
            raise BackendUnavailable(
                f"the mirror was told of event {sequence} of {self._model}, and this ledger ends "
                f"at {required.sequence}",
                hint="somebody else appended: git pull, then relkit registry verify --repair",
            )
        if not required.versions and not self._current.there:
            return []
        if required.guarded:
            for name in ALIASES:
                self._refuse_moved(name)
        if not self._current.there:
            self._write(
                lambda: self._client.create_registered_model(self._model),
                lambda current: current.there,
                "the registered model was made",
            )
        self._write_versions(sequence)
        for name in ALIASES:
            self._move(name)
        text = str(required.sequence)
        if self._current.tags.get(SEQUENCE) != text:
            self._write(
                lambda: self._client.set_registered_model_tag(self._model, SEQUENCE, text),
                lambda current: current.tags.get(SEQUENCE) == text,
                None,
            )
        self._current = self._head()  # once more: what was answered is not believed
        matches = matched(required, self._current)
        for alias, difference in alias_differences(required, self._current).items():
            if not self._is_left_out(alias, matches):
                raise self._diverged(f"{difference}: somebody else moved it meanwhile")
        return [f"{self._model}: {change}" for change in self._changes]

    def _read(self) -> MirrorModel:
        head = self._head()
        if not head.there:
            return head
        versions = tuple(
            MirrorVersion(
                number=str(version.version), source=version.source or "", tags=dict(version.tags)
            )
            for version in versions_of(self._client, self._model, self._progress)
        )
        return replace(head, versions=versions)

    def _head(self) -> MirrorModel:
        """Return the model as it is now, with the versions that were read before."""
        self._progress()
        model = model_of(self._client, self._model)
        if model is None:
            return MirrorModel()
        return MirrorModel(
            versions=self._current.versions,
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
        versions: bool = False,
    ) -> None:
        """Write once; where that fails, what is there says whether it was done after all.

        ``versions``: they are read again, too.
        """
        from google.protobuf.json_format import (  # type: ignore[import-untyped]  # no stubs
            ParseError,
        )
        from mlflow.exceptions import MlflowException

        self._progress()
        try:
            action()
        except (MlflowException, ParseError, ValueError) as error:
            try:
                self._current = self._read()
            except (MlflowException, ParseError, ValueError, BackendUnavailable):
                raise error from None
            if not done(self._current):
                raise
        else:
            self._current = self._read() if versions else self._head()
        if change is not None:
            self._changes.append(change)

    def _write_versions(self, sequence: int | None) -> None:
        """Make versions and mend their tags; ``sequence`` is the last event the mirror knows."""
        for version in self._required.versions:
            match = matched(self._required, self._current).get(version.version)
            if match is not None:
                for name, value in wrong_tags(version, match).items():
                    self._tag(version.version, match.number, name, value)
                continue
            if self._required.guarded and sequence is not None and version.registered <= sequence:
                continue  # it was deleted: that is for people to repair
            self._write(
                partial(
                    self._client.create_model_version,
                    self._model,
                    version.source,
                    tags=dict(version.tags),
                    await_creation_for=0,
                ),
                partial(self._has, version.version),
                f"{version.version} was made",
                versions=True,
            )

    def _has(self, version: str, current: MirrorModel) -> bool:
        return version in matched(self._required, current)

    def _tag(self, version: str, number: str, name: str, value: str | None) -> None:
        def done(current: MirrorModel) -> bool:
            versions = (match for match in current.versions if match.number == number)
            return any(match.tags.get(name) == value for match in versions)

        if value is None:
            write = partial(self._client.delete_model_version_tag, self._model, number, name)
        else:
            write = partial(self._client.set_model_version_tag, self._model, number, name, value)
        self._write(
            write, done, f"{version}: the tag {name} is {'gone' if value is None else value}"
        )

    def _refuse_moved(self, name: str) -> None:
        for alias in spellings(self._current, name):
            why = moved_by_others(self._required, self._current, alias)
            if why is not None:
                raise self._diverged(why)

    def _move(self, name: str) -> None:
        """Move one alias, in all its spellings, where it is not right; it is read right before."""
        self._current = self._head()
        if any(is_dangling(self._current, alias) for alias in spellings(self._current, name)):
            self._current = self._read()  # is it gone, or is it newer than what was read?
        matches = matched(self._required, self._current)
        model, version = self._model, self._required.aliases[name]
        for alias in spellings(self._current, name):
            if alias_difference(self._required, self._current, matches, alias) is None:
                continue
            if self._required.guarded:
                self._refuse_moved(name)
            before = self._current.aliases.get(alias)
            shown = "none" if before is None else name_of(before, self._current, matches)
            if version is None or self._is_left_out(alias, matches):
                if before is None:
                    continue
                self._write(
                    partial(self._client.delete_registered_model_alias, model, alias),
                    partial(_lacks, alias),
                    f"the alias {alias}: {shown} → none",
                )
                continue
            if version not in matches:
                raise self._diverged(f"{model} {version} was deleted from the mirror")
            number = matches[version].number
            self._write(
                partial(self._client.set_registered_model_alias, model, alias, number),
                partial(_names, alias, number),
                f"the alias {alias}: {shown} → {version}",
            )

    def _is_left_out(self, alias: str, matches: Mapping[str, MirrorVersion]) -> bool:
        """Return whether the version that held all traffic before is gone: nothing serves it.

        What is served does not wait for it: to make it again is for people, by ``--repair``.
        """
        version = self._required.aliases[alias.casefold()]
        deleted = version is not None and version not in matches
        return self._required.guarded and alias.casefold() == "previous" and deleted

    def _diverged(self, why: str) -> BackendUnavailable:
        return BackendUnavailable(
            why, hint=f"ask who did it, then: relkit registry verify {self._model} --repair"
        )


def _lacks(alias: str, current: MirrorModel) -> bool:
    return alias not in current.aliases


def _names(alias: str, number: str, current: MirrorModel) -> bool:
    return current.aliases.get(alias) == number
