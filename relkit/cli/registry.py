"""``relkit registry``: register, validate, promote, yank, history, verify and import."""

from pathlib import Path
from typing import Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.output import result_is_stored, say, show
from relkit.core.errors import ExitCode

By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who says so (default: the user).")
]


def register(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="A release, JSON or YAML.")],
    *,
    probe: Annotated[
        str | None,
        typer.Option("--probe", metavar="RUN", help="A run that shows how a hosted model behaves."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who registers (default: the user).")
    ] = None,
    common: Common,
) -> None:
    """Register a release: check it, compute its digests, write it to the ledger.

    The same release again changes nothing; a version never gets another digest.
    Example: relkit registry register release.yaml
    """
    from relkit.core.wording import safe
    from relkit.registry.register import RegisterOptions
    from relkit.registry.view import registered_json, registered_text
    from relkit.wiring import registry

    quiet = common.quiet or common.as_json
    options = RegisterOptions(release=release, probe=probe, by=by)
    done = registry.register(common.open(), options)
    for note in done.notes:
        say(f"relkit: warning: {safe(note)}")
    result_is_stored()
    show(done, common, text=registered_text, document=registered_json)
    if done.recorded is None:
        say("unchanged: exactly this was registered before", quiet=quiet)
        return
    folder = f"registry/releases/{done.release.model}/{done.release.version}"
    say(f"next: git add {folder} registry/events && git commit", quiet=quiet)


def validate(
    *,
    no_artifacts: Annotated[
        bool, typer.Option("--no-artifacts", help="Do not read the files of artifacts.")
    ] = False,
    common: Common,
) -> None:
    """Say everything that is wrong with releases and ledgers, file and line.

    Exits 1 where anything is.
    Example: relkit registry validate --no-artifacts
    """
    from relkit.registry.view import validation_json, validation_text
    from relkit.wiring import registry

    validation = registry.validate(common.open(), artifacts=not no_artifacts)
    show(validation, common, text=validation_text, document=validation_json)
    raise typer.Exit(ExitCode.FAILED if validation.defects else ExitCode.OK)


def promote(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A registered version.")],
    *,
    decision: Annotated[
        Path | None,
        typer.Option("--decision", metavar="FILE", help="The decision that lets it go."),
    ] = None,
    override: Annotated[
        Path | None,
        typer.Option("--override", metavar="FILE", help="A signed override of the decision."),
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option("--canary", metavar="PERCENT", help="Only this share of the traffic."),
    ] = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="The canary does not go on; --canary 0 ends it.")
    ] = False,
    by: By = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")] = "",
    common: Common,
) -> None:
    """Let a release be served, by a decision that passed.

    The decision is about exactly this artifact and dataset, by the policy as it is now.
    Example: relkit registry promote asr 1.3.0 --decision decision.json --canary 5%
    """
    from relkit.registry.promote import PromoteOptions
    from relkit.registry.view import promoted_text, recorded_json, share_of
    from relkit.wiring import registry

    options = PromoteOptions(
        model=model,
        version=version,
        decision=decision,
        override=override,
        share=None if canary is None else share_of(canary),
        hold=hold,
        by=by,
        reason=reason,
    )
    done = registry.promote(common.open(), options)
    result_is_stored()
    show(done, common, text=promoted_text, document=recorded_json)


def yank(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A registered version.")],
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")],
    restore: Annotated[bool, typer.Option("--restore", help="Take a yank back.")] = False,
    by: By = None,
    common: Common,
) -> None:
    """Withdraw a release: it is never promoted or rolled back to again.

    Example: relkit registry yank asr 1.2.0 --reason "wrong labels in training"
    """
    from relkit.registry.promote import YankOptions
    from relkit.registry.view import recorded_json, recorded_text, state_line
    from relkit.wiring import registry

    options = YankOptions(model=model, version=version, reason=reason, restore=restore, by=by)
    done = registry.yank(common.open(), options)
    result_is_stored()
    show(done, common, text=recorded_text, document=recorded_json)
    if not restore and version in (done.state.live, done.state.candidate):
        say(
            f"relkit: warning: it is served still: {state_line(done.state)}\n"
            f"  relkit rollback {model} --bad {version}"
        )


def history(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model.")], *, common: Common
) -> None:
    """Show what was served when, by share of traffic.

    Example: relkit registry history asr
    """
    from relkit.registry.view import history_json, history_text
    from relkit.wiring import registry

    served = registry.history(common.open(), model)
    show(served, common, text=history_text, document=history_json)


def verify(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A model (default: all of them).")
    ] = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what is certain, and tell the mirror.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="Note it for releases without a gate: rollback asks for it."),
    ] = False,
    probe: Annotated[
        str | None,
        typer.Option("--probe", metavar="RUN", help="A new run over a hosted model's probe clips."),
    ] = None,
    by: By = None,
    common: Common,
) -> None:
    """Prove the chain of the ledger and every digest.

    Exits 1 where something is not as it was recorded, 5 where only the mirror did not answer.
    Example: relkit registry verify asr --repair
    """
    from relkit.core.wording import safe
    from relkit.registry.verify import VerifyRegistryOptions
    from relkit.registry.view import verification_json, verification_text
    from relkit.wiring import registry

    options = VerifyRegistryOptions(model=model, repair=repair, record=record, probe=probe, by=by)
    verification = registry.verify(common.open(), options)
    show(verification, common, text=verification_text, document=verification_json)
    if not common.as_json:
        for line in verification.recorded:
            say(f"recorded: {safe(line)} verifies", quiet=common.quiet)
        for line in verification.unchecked:
            say(f"not checked: {safe(line)}", quiet=common.quiet)
        if verification.mirror == "skipped":
            say("no mirror is configured: none was compared", quiet=common.quiet)
        if verification.silent is not None:
            say(f"relkit: the mirror was not compared: {safe(verification.silent.message)}")
            say(f"  {safe(verification.silent.hint or '')}".rstrip())
    silent = ExitCode.OK if verification.silent is None else ExitCode.BACKEND
    raise typer.Exit(ExitCode.FAILED if verification.problems else silent)


def import_(
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
    from relkit.registry.adopt import ImportRegistryOptions
    from relkit.registry.view import imported_json, imported_text
    from relkit.wiring import registry

    options = ImportRegistryOptions(
        kind=kind, models=tuple(model or ()), registry_uri=registry_uri, component=component, by=by
    )
    models = registry.import_models(common.open(), options)
    show(models, common, text=imported_text, document=imported_json)
    say("next: relkit registry verify --record", quiet=common.quiet or common.as_json)
    if any(model.conflicts for model in models):
        raise typer.Exit(ExitCode.FAILED)
