"""How many workers `--jobs auto` means, and what each of them takes."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from relkit.adapters import workers as machine
from relkit.adapters.ray_cluster import RayCluster
from relkit.core.errors import BackendUnavailable, UsageError
from relkit.evaluation.suites import suite_digest
from relkit.evaluation.types import JobResources, job_count
from relkit.wiring.systems import Workers
from tests.builders import MINIMAL_SUITE, suite


@dataclass
class Machines:
    """A cluster that was joined: CPUs, GPUs and memory in GiB of each machine."""

    machines: list[tuple[float, float, float]] = field(default_factory=list)


def joined(resources: JobResources, *machines: tuple[float, float, float]) -> Workers:
    """Return workers of a cluster of such machines."""
    cluster = cast("RayCluster", Machines(list(machines)))
    return Workers("auto", "ray", resources=resources, _joined=[cluster])


SMALL, LARGE = (4.0, 0.0, 8.0), (16.0, 1.0, 64.0)


@pytest.mark.parametrize(
    ("resources", "count"),
    [
        (JobResources(), 20),
        (JobResources(cpus=2), 10),
        (JobResources(cpus=3), 1 + 5),
        (JobResources(gpus=1), 1),
        (JobResources(gpus=0.25), 4),
        (JobResources(memory_gib=6), 1 + 10),
        (JobResources(cpus=4, gpus=0.5, memory_gib=40), 1),
    ],
)
def test_a_cluster_has_place_for_what_each_machine_has(resources: JobResources, count: int) -> None:
    """A job is on one machine: halves of two are no place."""
    assert joined(resources, SMALL, LARGE).count == count


def test_no_place_is_said_and_too_many_are_not_asked_for() -> None:
    """A run that could never start a worker does not wait for one."""
    with pytest.raises(BackendUnavailable, match="no machine of the cluster has what a job"):
        _ = joined(JobResources(gpus=2), SMALL, LARGE).count
    assert joined(JobResources(), *[LARGE] * 100).count == 256


def test_this_machine_has_place_by_its_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cluster; GPUs that may be in use are not counted."""
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(machine, "memory_gib", lambda: 15.5)
    sizes = {
        (None, None): 8,
        (2, None): 4,
        (None, 5.0): 3,
        (16, None): 1,
    }
    for (cpus, memory), count in sizes.items():
        workers = Workers("auto", resources=JobResources(cpus=cpus, memory_gib=memory))
        assert workers.count == count
        assert workers.threads == (cpus or max(1, 8 // count))
    with pytest.raises(UsageError, match="cannot tell which GPUs"):
        _ = Workers("auto", resources=JobResources(gpus=1)).count
    assert machine.memory_gib() > 0.1


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("256", 256), ("auto", "auto")])
def test_jobs_are_a_number_or_auto(text: str, count: int | str) -> None:
    """What the option takes."""
    assert job_count(text) == count


@pytest.mark.parametrize("text", ["0", "257", "-1", "two", "", "1.5", "AUTO", "\u0661"])
def test_other_jobs_are_refused(text: str) -> None:
    """One message for all of them."""
    with pytest.raises(UsageError, match="--jobs is a number from 1 to 256, or auto"):
        job_count(text)


def test_what_workers_take_is_no_part_of_the_suite() -> None:
    """Runs of other machines are of the same suite, and compare."""
    plain = suite(MINIMAL_SUITE)
    sized = suite(MINIMAL_SUITE + "resources: {cpus: 2, gpus: 0.5, memory_gib: 4}\n")
    assert sized.resources == JobResources(cpus=2, gpus=0.5, memory_gib=4.0)
    assert suite_digest(sized) == suite_digest(plain)
