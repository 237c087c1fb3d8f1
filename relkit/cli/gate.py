"""``relkit gate``, ``override``, ``approve`` and ``verify``."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.app import Common
from relkit.cli.output import annotate, print_json, put, result_is_stored, say, seconds, show
from relkit.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from relkit.core.config import Workspace
    from relkit.gate.run import GateOptions
    from relkit.gate.types import GateDecision


EXIT_CODES = {
    "pass": ExitCode.OK,
    "fail": ExitCode.FAILED,
    "error": ExitCode.INVALID,
    "inconclusive": ExitCode.INCONCLUSIVE,
    "no_data": ExitCode.NO_DATA,
}
"""How each verdict ends the command (docs/method.md, section "Verdicts and exit codes")."""


def gate(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy's name, or a path.")],
    *,
    candidate: Annotated[
        list[str] | None,
        typer.Option("--candidate", metavar="RUN", help="The run to judge; PART=RUN for parts."),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option("--baseline", metavar="RUN", help="What it is compared with."),
    ] = None,
    anchor: Annotated[
        list[str] | None,
        typer.Option("--anchor", metavar="RUN", help="An older run that margins also hold for."),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option("--check", metavar="NAME=FILE", help="The record of a required check."),
    ] = None,
    decision: Annotated[
        Path | None, typer.Option("--decision", metavar="FILE", help="Where the decision goes.")
    ] = None,
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="KEY", help="Sign it with this private key.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, too.")
    ] = None,
    github: Annotated[
        bool, typer.Option("--github", help="Write GitHub's step summary and annotations.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what each rule can decide; decide nothing.")
    ] = False,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="The dataset to plan on.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="SUITE", help="The suite to plan for.")
    ] = None,
    common: Common,
) -> None:
    """Decide whether a candidate may be promoted, and why.

    Example: relkit gate asr-promotion --candidate 20260131T12 --baseline 20260130T09
    """
    from relkit.gate.plan_run import PlanOptions
    from relkit.gate.run import GateOptions
    from relkit.gate.view import plan_summary
    from relkit.wiring.gate import plan_gate

    workspace = common.open()
    if plan:
        _only(decision is None and sign is None, "--plan decides nothing, so it writes nothing")
        for name, runs in (("--candidate", candidate), ("--baseline", baseline)):
            _only(len(runs or []) <= 1, f"--plan takes one {name}")
        planned = PlanOptions(
            policy=policy,
            dataset=dataset,
            suite=suite,
            baseline=baseline[0] if baseline else None,
            candidate=candidate[0] if candidate else None,
        )
        show(plan_gate(workspace, planned), common, text=plan_summary)
        return
    _only(dataset is None and suite is None, "--dataset and --suite belong to --plan")
    options = GateOptions(
        policy=policy,
        candidates=tuple(candidate or ()),
        baselines=tuple(baseline or ()),
        anchors=tuple(anchor or ()),
        checks=tuple(check or ()),
        decision=decision,
        sign=sign,
    )
    _gate(options, workspace, common, junit=junit, github=github)


def _only(allowed: bool, message: str) -> None:
    if not allowed:
        raise UsageError(message, hint="see: relkit gate --help")


def _gate(
    options: "GateOptions",
    workspace: "Workspace",
    common: Common,
    *,
    junit: Path | None,
    github: bool,
) -> None:
    """Decide, write the decision, and only then show it and leave."""
    from relkit.attestation.statements import decision_document
    from relkit.gate.view import gate_summary
    from relkit.wiring import gate as wiring

    decided = wiring.gate(workspace, options)
    result_is_stored()
    decision, overrides = decided.decision, decided.decision.overrides
    if junit is not None or github:
        from relkit.report.run import publish
        from relkit.wiring.evaluation import sharing_of

        for line in publish(
            decision,
            workspace.environment,
            junit=junit,
            github=github,
            overrides=overrides,
            sharing=sharing_of(workspace, [part.candidate.run for part in decision.parts]),
        ):
            annotate(line)
    shown = workspace.shown(decided.path)
    show(
        decision,
        common,
        text=partial(gate_summary, overrides=overrides),
        document=partial(decision_document, decision_file=shown, overrides=overrides),
    )
    signed = "" if options.sign is not None else " (not signed)"
    say(f"decision: {shown}{signed}", quiet=common.quiet)
    raise typer.Exit(exit_code(decision))


def exit_code(decision: "GateDecision") -> ExitCode:
    """Return how a decision ends the command: a shadow one always lets the pipeline go on."""
    if decision.policy.enforcement == "shadow":
        return ExitCode.OK
    return EXIT_CODES[decision.verdict]


def override(
    decision: Annotated[Path, typer.Argument(metavar="DECISION", help="A decision's file.")],
    *,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who answers for it.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is printed.")],
    ticket: Annotated[str, typer.Option("--ticket", metavar="ID", help="Where it is followed up.")],
    sign: Annotated[Path, typer.Option("--sign", metavar="KEY", help="A private key.")],
    valid_for: Annotated[
        str, typer.Option("--valid-for", metavar="TIME", help="At most 30d, nor past the decision.")
    ] = "24h",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")
    ] = None,
    common: Common,
) -> None:
    """Let a candidate go although its gate did not pass, signed.

    Every later report shows it. A decision that passed, expired or judged nothing has none.
    Example: relkit override decision.json --by "A. Lee" --reason "fix" --ticket R-1 --sign key
    """
    from relkit.attestation.exceptions import OverrideOptions
    from relkit.wiring import gate as wiring

    workspace = common.open()
    options = OverrideOptions(
        decision=decision,
        by=by,
        reason=reason,
        ticket=ticket,
        sign=sign,
        valid_for_s=seconds(valid_for, "--valid-for"),
        output=output,
    )
    path, signed = wiring.override(workspace, options)
    if common.as_json:
        print_json(
            {
                "override": path.name,
                "decision": signed.decision.digest,
                "verdict": str(signed.decision.verdict),
                "by": signed.by,
                "ticket": signed.ticket,
                "expires": signed.expires,
                "key": signed.key,
            }
        )
    say(
        f"override: {path.name}\n  of a decision that says {signed.decision.verdict}, "
        f"until {signed.expires}",
        quiet=common.quiet,
    )
    if signed.key not in {key.key for key in wiring.trusted_keys(workspace)}:
        say("  the key is not one that relkit.yaml trusts: it will allow nothing here")


def approve(
    check: Annotated[
        str, typer.Argument(metavar="CHECK", help="A name, or the JSON record of another tool.")
    ],
    *,
    sign: Annotated[Path, typer.Option("--sign", metavar="KEY", help="A private key.")],
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who says so (default: the key).")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is printed.")
    ] = None,
    candidate: Annotated[
        str | None, typer.Option("--candidate", metavar="RUN", help="Only about what this run is.")
    ] = None,
    verdict: Annotated[
        str | None, typer.Option("--verdict", metavar="WORD", help="pass (default) or fail.")
    ] = None,
    valid_for: Annotated[
        str | None, typer.Option("--valid-for", metavar="TIME", help="At most 30d (default: 24h).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")
    ] = None,
    common: Common,
) -> None:
    """Sign a named check or approval that a policy requires.

    Example: relkit approve security-review --sign relkit.key --by "A. Lee" --candidate 20260131
    """
    from relkit.attestation.run import ApproveOptions
    from relkit.wiring import gate as wiring

    workspace = common.open()
    options = ApproveOptions(
        check=check,
        sign=sign,
        by=by,
        reason=reason,
        candidate=candidate,
        verdict=verdict,
        valid_for_s=None if valid_for is None else seconds(valid_for, "--valid-for"),
        output=output,
    )
    path, signed = wiring.approve(workspace, options)
    if common.as_json:
        print_json(
            {
                "check": signed.name,
                "file": path.name,
                "verdict": str(signed.verdict),
                "by": signed.by,
                "candidate": signed.candidate,
                "expires": signed.expires,
                "digest": signed.digest,
                "key": signed.key,
            }
        )
    until = "" if signed.expires is None else f", until {signed.expires}"
    say(
        f"{signed.name}: {signed.verdict}{until}:\n  {path.name}",
        quiet=common.quiet,
    )


def verify(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A decision, an override or a check.")
    ] = None,
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key", metavar="PUB", help="A public key (default: those relkit.yaml trusts)."
        ),
    ] = None,
    policy_digest: Annotated[
        str | None, typer.Option("--policy-digest", metavar="D", help="Only by this policy.")
    ] = None,
    min_serial: Annotated[
        int | None,
        typer.Option("--min-serial", metavar="N", min=1, help="No decision older than this."),
    ] = None,
    artifact: Annotated[
        str | None, typer.Option("--artifact", metavar="D", help="Only about this artifact.")
    ] = None,
    allow_unsigned: Annotated[
        bool, typer.Option("--allow-unsigned", help="Take a file without any signature.")
    ] = False,
    print_verifier: Annotated[
        bool,
        typer.Option("--print-verifier", help="Print the auditors' verifier, one file of Python."),
    ] = False,
    common: Common,
) -> None:
    """Verify a signed decision, override or check, offline.

    A decision is judged again from the sums inside it. Exits 1 where it is not to be believed.
    Example: relkit verify decision.json --key relkit.pub --min-serial 12
    """
    from relkit.attestation.run import auditors_verifier
    from relkit.attestation.verify import VerifyOptions
    from relkit.attestation.view import verify_document, verify_text
    from relkit.core.wording import safe
    from relkit.wiring import gate as wiring

    if print_verifier:
        put(auditors_verifier())
        return
    if file is None:
        raise UsageError("no FILE was named", hint="see: relkit verify --help")
    options = VerifyOptions(
        artifact=_digest(artifact, "--artifact"),
        policy=_digest(policy_digest, "--policy-digest"),
        serial=min_serial,
        unsigned=allow_unsigned,
    )
    keys = wiring.keys_to_verify(common.start, key or ())
    if not keys and not allow_unsigned:
        raise UsageError(
            "no public key was named, and no workspace trusts one",
            hint="--key relkit.pub, or signing: {keys: [...]} in relkit.yaml",
        )
    verification = wiring.verify_file(file, options, keys)
    show(verification, common, text=partial(verify_text, name=file.name), document=verify_document)
    for note in verification.notes:
        say(f"  note: {safe(note)}", quiet=common.quiet or common.as_json)
    if not verification.valid:
        raise typer.Exit(ExitCode.FAILED)


def _digest(text: str | None, option: str) -> str | None:
    """Return a digest in relkit's spelling; the bare hexadecimal one is taken, too."""
    if text is None:
        return None
    plain = text.removeprefix("sha256:").lower()
    if len(plain) != 64 or set(plain) - set("0123456789abcdef"):  # noqa: PLR2004 - of SHA-256
        raise UsageError(f"{option}: is no digest", hint="sha256: and 64 hexadecimal digits")
    return f"sha256:{plain}"
