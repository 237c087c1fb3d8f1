"""A vendor's model in the registry: identity by configuration, behaviour by a fingerprint."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.asr_server import AsrServer, always
from tests.conftest import Said, Workspace

RELEASE = """\
schema: relkit.release/v1
model: cloud
version: "{version}"
component: asr
owner: speech team
licence: vendor
{identity}
"""
HOSTED = "hosted: {provider: acme, model: speech-2}"


@dataclass(frozen=True)
class Vendor:
    """A workspace whose suite asks a server that answers what it is told."""

    workspace: Workspace
    server: AsrServer
    suite: str

    def probe(self, answer: str, *, fresh: bool = True) -> str:
        """Run the probe suite and return the run."""
        self.server.recognise = always(answer)
        again = ("--fresh",) if fresh else ()
        done = self.workspace.relkit("eval", self.suite, "--json", *again)
        assert done.code == 0, done
        run: str = done.document["run"]
        return run

    def register(self, run: str, version: str = "1", identity: str = HOSTED) -> Said:
        """Register a release with a probe."""
        path = self.workspace.folder / "cloud.yaml"
        path.write_text(RELEASE.format(version=version, identity=identity), encoding="utf-8")
        return self.workspace.relkit("registry", "register", str(path), "--probe", run, "--json")

    def verify(self, run: str) -> Said:
        """Compare a new run."""
        return self.workspace.relkit("registry", "verify", "cloud", "--probe", run, "--json")


@pytest.fixture
def vendor(workspace: Workspace) -> Iterator[Vendor]:
    """Give a vendor."""
    with AsrServer() as server:
        system = f'{{kind: openai-http, base_url: "{server.base_url}", model: speech-2}}'
        suite = workspace.suite(system, name="probe", voices=("flite-slt",))
        yield Vendor(workspace, server, suite)


def test_a_vendor_that_changes_its_model_is_noticed(vendor: Vendor) -> None:
    """The same answers verify; other answers under the same name are a problem, exit 1."""
    first = vendor.probe("turn on the light")
    done = vendor.register(first)
    assert done.code == 0, done
    folder = vendor.workspace.folder / "registry" / "releases" / "cloud" / "1"
    kept = (folder / "probe.json").read_text(encoding="utf-8")
    assert "light" not in kept
    assert '"clips": 8' in kept
    assert '"fingerprint": "sha256:' in (folder / "release.json").read_text(encoding="utf-8")
    same = vendor.verify(vendor.probe("Turn ON the light!"))
    assert (same.code, same.document["valid"]) == (0, True), same
    other = vendor.verify(vendor.probe("turn off the light"))
    assert other.code == 1
    (problem,) = other.document["problems"]
    assert "cloud 1 answers otherwise than when it was registered: fingerprint sha256:" in problem
    assert vendor.workspace.relkit("registry", "verify").code == 0  # nothing was asked anew
    assert vendor.workspace.relkit("registry", "validate").code == 0


def test_answers_from_the_cache_prove_nothing(vendor: Vendor) -> None:
    """They are those of another day, and would hide every change."""
    first = vendor.probe("turn on the light")
    assert vendor.register(first).code == 0
    cached = vendor.verify(vendor.probe("turn off the light", fresh=False))
    assert cached.code == 2
    assert "has answers from the cache" in cached.document["error"]["message"]


def test_a_probe_without_an_answer_is_no_fingerprint(vendor: Vendor) -> None:
    """A failure is no behaviour."""
    vendor.server.faults[:] = ["400"]
    run = vendor.probe("turn on the light")
    done = vendor.register(run)
    assert done.code == 2
    assert "has no answer for every probe clip" in done.document["error"]["message"]


def test_a_probe_of_something_else_is_refused(vendor: Vendor) -> None:
    """Another configuration, another model, files, or other clips: each says what is wrong."""
    run = vendor.probe("turn on the light")
    wrong = f"hosted: {{provider: acme, model: x, configuration: 'sha256:{'0' * 64}'}}"
    for identity, message in (
        (wrong, "is not one of this release"),
        ("artifact: {root: datasets}", "the release is not hosted"),
    ):
        done = vendor.register(run, identity=identity)
        assert (done.code, message in done.document["error"]["message"]) == (2, True), done
    assert vendor.register(run).code == 0
    vendor.workspace.suite(
        f'{{kind: openai-http, base_url: "{vendor.server.base_url}", model: speech-3}}',
        name=vendor.suite,
        voices=("flite-slt",),
    )
    other = vendor.verify(vendor.probe("turn on the light"))
    assert other.code == 2
    assert "no hosted release of cloud has the configuration" in other.document["error"]["message"]
    vendor.workspace.suite(
        f'{{kind: openai-http, base_url: "{vendor.server.base_url}", model: speech-2}}',
        name=vendor.suite,
        voices=("flite-slt", "flite-rms"),
    )
    more = vendor.verify(vendor.probe("turn on the light"))
    assert (more.code, "cannot be compared" in more.document["error"]["message"]) == (2, True)


def test_a_probe_needs_a_model(vendor: Vendor) -> None:
    """Which release it is about has to be said."""
    done = vendor.workspace.relkit("registry", "verify", "--probe", "x", "--json")
    assert (done.code, done.document["error"]["message"]) == (
        2,
        "--probe needs the model that was probed",
    )


LIMITS = """\
schema: relkit.gate/v1
name: limits
rules:
  - {id: failures, metric: failure_rate, slice: overall, test: bound, max: 0.5}
"""


def test_a_vendors_model_is_promoted_by_its_configuration(vendor: Vendor) -> None:
    """A decision about these settings promotes it; one about other settings does not."""
    workspace = vendor.workspace
    (workspace.folder / "gates" / "limits.yaml").write_text(LIMITS, encoding="utf-8")
    voices = (
        "flite-slt",
        "flite-rms",
        "flite-awb",
        "flite-slt-low",
        "festival-slt",
        "flite-awb-low",
    )
    system = f'{{kind: openai-http, base_url: "{vendor.server.base_url}", model: speech-2}}'
    workspace.suite(system, name="probe", voices=voices)
    first = vendor.probe("turn on the light")
    text = RELEASE.format(version="1", identity=f"{HOSTED}\nrun: {first}")
    path = workspace.folder / "cloud.yaml"
    path.write_text(text, encoding="utf-8")
    done = workspace.relkit("registry", "register", str(path), "--probe", first)
    assert done.code == 0, done.err
    good, bad = workspace.folder / "good.json", workspace.folder / "bad.json"
    passed = workspace.relkit("gate", "limits", "--candidate", first, "--decision", str(good))
    assert passed.code == 0, passed.out
    workspace.suite(system.replace("speech-2", "speech-3"), name="probe", voices=voices)
    other = vendor.probe("turn on the light")
    passed = workspace.relkit("gate", "limits", "--candidate", other, "--decision", str(bad))
    assert passed.code == 0, passed.out
    promote = ("registry", "promote", "cloud", "1", "--decision")
    refused = workspace.relkit(*promote, str(bad))
    assert (refused.code, "it is not about the artifact of cloud 1" in refused.err) == (2, True)
    done = workspace.relkit(*promote, str(good))
    assert done.code == 0, done.err
    assert workspace.relkit("registry", "history", "cloud", "--json").document["live"] == "1"
