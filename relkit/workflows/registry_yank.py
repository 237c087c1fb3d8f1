"""``relkit registry yank``: a version is withdrawn, or restored."""

from relkit.domain.errors import UsageError
from relkit.rules.ledger_plans import Entry, plan_restored, plan_yanked
from relkit.workflows.registry import Recorded, read_state, record
from relkit.workflows.registry_ports import RegistryPorts


def yank(
    model: str, version: str, ports: RegistryPorts, *, entry: Entry, restore: bool = False
) -> Recorded:
    """Withdraw a version for good, or take that back; a version that is served stays served.

    Raises UsageError for an unknown version and without a reason, InvalidInput where it is so.
    """
    if not entry.reason:
        raise UsageError("say why", hint='--reason "wrong labels in training"')
    plan = plan_restored if restore else plan_yanked
    return record(ports, plan(read_state(ports, model), version, entry))
