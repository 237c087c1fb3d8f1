"""The child's task ``read``: registered models, metadata only, no model is loaded."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from relkit.core.errors import BackendUnavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel


_PAGE = 200
_GONE = "RESOURCE_DOES_NOT_EXIST"
NO_JSON = "its answer is not MLflow's: a login page or a proxy may be in the way"
_CLOSED = {"ConnectionError", "ProtocolError", "RemoteDisconnected", "ChunkedEncodingError"}
_INDIRECT = ("runs:", "models:")
Progress = Callable[[], None]


def reason_of(error: BaseException, otherwise: str) -> str:
    """Return why MLflow's client gave up, in a few words: never its own, which hold addresses."""
    names = set(_chain(error))
    if any("Timeout" in name for name in names):
        return "no answer in time"
    if names & _CLOSED:
        return "it closed the connection"
    if names & {"ParseError", "JSONDecodeError"}:
        return NO_JSON
    if "valid JSON" in str(error):
        return NO_JSON
    return str(getattr(error, "error_code", otherwise))


def _chain(error: BaseException | None) -> Iterator[str]:
    """Yield the names of an error's class and of those behind it."""
    while error is not None:
        yield type(error).__name__
        error = error.__cause__ or error.__context__


def read(order: Mapping[str, Any], progress: Progress) -> dict[str, object]:
    """Return models by name as plain documents; ``names`` None: all that there are.

    A model that does not exist has no entry.
    """
    client = client_of(order)
    names = order["names"]
    models: dict[str, object] = {}
    for name in _all_names(client, progress) if names is None else names:
        progress()
        model = model_of(client, name)
        if model is None:
            continue
        versions = []
        for version in versions_of(client, name, progress):
            document = _document(version)
            if order["locations"]:
                document["location"] = _location(client, version, progress)
            versions.append(document)
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


def _all_names(client: "MlflowClient", progress: Progress) -> list[str]:
    names: list[str] = []
    token = None
    while True:
        progress()
        page = client.search_registered_models(max_results=_PAGE, page_token=token)
        names += [model.name for model in page]
        token = page.token
        if not token:
            return sorted(names)


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


def versions_of(client: "MlflowClient", name: str, progress: Progress) -> Iterator["ModelVersion"]:
    """Yield the versions of a registered model, page by page."""
    quote = '"' if "'" in name else "'"
    token = None
    while True:
        progress()
        page = client.search_model_versions(
            f"name={quote}{name}{quote}", max_results=_PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def _document(version: "ModelVersion") -> dict[str, object]:
    return {
        "number": str(version.version),
        "source": version.source or "",
        "tags": dict(version.tags),
        "created_ms": version.creation_timestamp,
        "run": version.run_id or None,
        "stage": version.current_stage or None,
    }


def _location(client: "MlflowClient", version: "ModelVersion", progress: Progress) -> str:
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
