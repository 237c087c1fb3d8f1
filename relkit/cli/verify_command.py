"""``relkit verify``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relkit.cli.common import Common
from relkit.cli.output import print_json, put, safe, say
from relkit.domain.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from relkit.records.digests import JsonValue
    from relkit.records.verifying import Verification


def command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A decision, an override or a check."),
    ] = None,
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key", metavar="PUB", help="A public key (default: those relkit.yaml trusts)."
        ),
    ] = None,
    policy_digest: Annotated[
        str | None,
        typer.Option("--policy-digest", metavar="D", help="Only by this policy."),
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
    from relkit.records.verifying import Wanted
    from relkit.wiring import signing

    if print_verifier:
        put(signing.auditors_verifier())
        return
    if file is None:
        raise UsageError("no FILE was named", hint="see: relkit verify --help")
    wanted = Wanted(
        artifact=_digest(artifact, "--artifact"),
        policy=_digest(policy_digest, "--policy-digest"),
        serial=min_serial,
        unsigned=allow_unsigned,
    )
    keys = signing.keys_to_verify(common.start, key or ())
    if not keys and not allow_unsigned:
        raise UsageError(
            "no public key was named, and no workspace trusts one",
            hint="--key relkit.pub, or signing: {keys: [...]} in relkit.yaml",
        )
    found = signing.verify_file(file, keys, wanted)
    if common.as_json:
        print_json(document(found))
    else:
        put(summary(found, file.name))
        for note in found.notes:
            say(f"  note: {safe(note)}", quiet=common.quiet)
    if not found.valid:
        raise typer.Exit(ExitCode.FAILED)


def _digest(text: str | None, option: str) -> str | None:
    """Return a digest in relkit's spelling; the bare hexadecimal one is taken, too."""
    if text is None:
        return None
    plain = text.removeprefix("sha256:").lower()
    if len(plain) != 64 or set(plain) - set("0123456789abcdef"):  # noqa: PLR2004 - of SHA-256
        raise UsageError(f"{option}: is no digest", hint="sha256: and 64 hexadecimal digits")
    return f"sha256:{plain}"


def document(found: "Verification") -> "dict[str, JsonValue]":
    """Return a verification as ``--json`` shows it; facts only where they were verified."""
    from relkit.domain.decisions import DecisionStatement, why_not_promotable

    facts: dict[str, JsonValue] = {
        "valid": found.valid,
        "problems": list(found.problems),
        "notes": list(found.notes),
        "kind": found.kind,
        "digest": found.digest,
        "signers": list(found.signers),
    }
    if isinstance(found.content, DecisionStatement):
        decision = found.content.decision
        facts |= {
            "verdict": str(decision.verdict),
            "enforcement": decision.enforcement,
            "promotable": found.valid and bool(found.signers) and not why_not_promotable(decision),
            "policy": decision.policy,
            "policy_digest": decision.policy_digest,
            "serial": decision.serial,
            "expires": decision.expires,
            "recomputed": found.agreed,
            "believed": list(found.believed),
        }
    return facts


def summary(found: "Verification", name: str) -> str:
    """Return a verification for people: what it is, or every reason not to believe it."""
    from relkit.domain.decisions import DecisionStatement

    if not found.valid:
        return "\n".join([f"{safe(name)}: not valid", *(f"  {safe(p)}" for p in found.problems)])
    lines = [f"{safe(name)}: valid {found.kind}"]
    if isinstance(found.content, DecisionStatement):
        decision = found.content.decision
        lines.append(
            f"  {decision.verdict} by {safe(decision.policy)}, decision {decision.serial}, "
            f"until {decision.expires}; {found.agreed} checks recomputed"
        )
    lines += [f"  signed by {key}" for key in found.signers]
    return "\n".join(lines)
