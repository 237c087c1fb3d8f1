"""Sets the margins of a workspace's policies from the power of its own data."""

import os
from pathlib import Path

from relkit.adapters.workspace import read_workspace
from relkit.core import storage
from relkit.core.codec import decode
from relkit.gate.plan import margins
from relkit.gate.policies import parse_policy, with_margins
from relkit.gate.suppose import facts_of_suite
from relkit.wiring import read_suite
from relkit.wiring.dataset_versions import dataset_files

REFERENCE = {"asr-promotion": "demo", "tts-promotion": "speech"}
"""Policies of the reference workspace, and the suites whose data they are set for."""


def set_margins(folder: Path) -> dict[str, dict[str, float]]:
    """Write margins that its own data can decide into the policies of a workspace.

    Returns them by policy and rule. A policy or suite that is not there is passed over.
    """
    settings = read_workspace(folder, os.environ)
    found: dict[str, dict[str, float]] = {}
    for name, suite in REFERENCE.items():
        path = settings.gates / f"{name}.yaml"
        if not path.is_file() or not (settings.suites / f"{suite}.yaml").is_file():
            continue
        text = decode(storage.read_bytes(path, what=path.name), source=path.name)
        policy = parse_policy(text, source=path.name)
        wanted = read_suite(settings, suite, ())
        dataset = dataset_files(settings).snapshot(wanted.dataset.name, rev=None).dataset
        found[name] = margins(policy, facts_of_suite(dataset, wanted, policy.rules))
        storage.write_text(path, with_margins(text, found[name], source=path.name))
    return found
