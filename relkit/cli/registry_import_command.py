"""``relkit registry import``."""

from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe, say
from relkit.domain.errors import ExitCode
from relkit.records.digests import JsonValue

if TYPE_CHECKING:
    from relkit.workflows.registry_import import ImportedModel


def command(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Which kind of registry: mlflow.")],
    *,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="Only this model; may be repeated."),
    ] = None,
    registry_uri: Annotated[
        str | None,
        typer.Option("--registry-uri", metavar="URI", help="Where it is (default: as MLflow)."),
    ] = None,
    component: Annotated[
        str | None,
        typer.Option("--component", metavar="NAME", help="What they are: asr, llm, tts …"),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who does it (default: the user).")
    ] = None,
    common: Common,
) -> None:
    """Bring in what another registry has: versions and aliases, marked as legacy.

    Nothing there is changed. The same again finishes what was cut short.
    Example: relkit registry import mlflow --model asr
    """
    from relkit import wiring
    from relkit.wiring.registry_import import import_models

    found = import_models(
        wiring.settings(common.start),
        kind,
        models=tuple(model or ()),
        registry_uri=registry_uri,
        component=component,
        by=by,
    )
    conflicts = [f"{one.model}: {line}" for one in found for line in one.conflicts]
    if common.as_json:
        print_json({"models": [_document(one) for one in found], "conflicts": conflicts})
    else:
        for one in found:
            _show(one)
        put(f"{len(found)} models, {sum(len(one.registered) for one in found)} versions came in")
        for line in conflicts:
            put(f"refused: {safe(line)}")
        say("next: relkit registry verify --record", quiet=common.quiet)
    if conflicts:
        raise typer.Exit(ExitCode.FAILED)


def _document(one: "ImportedModel") -> dict[str, JsonValue]:
    return {
        "name": one.name,
        "model": one.model,
        "registered": list(one.registered),
        "unchanged": list(one.unchanged),
        "unverifiable": list(one.unverifiable),
        "live": one.live,
        "previous": one.previous,
        "notes": list(one.notes),
    }


def _show(one: "ImportedModel") -> None:
    versions = ", ".join(one.registered) or "no new version"
    put(f"{safe(one.name)}: {safe(versions)}; live: {safe(one.live or 'unknown')}")
    for line in one.notes:
        put(f"  {safe(line)}")
