"""Releases and artifacts on disk."""

from pathlib import Path

import pytest

from relkit.adapters.releases import ArtifactFiles, ReleaseFiles
from relkit.adapters.systems.faster_whisper import folder_digest
from relkit.core.digests import sha256_bytes
from relkit.core.errors import InvalidInput, UsageError
from relkit.registry.release_files import tree_digest
from relkit.registry.types import Artifact, HostedIdentity, Release
from tests.release_data import release


@pytest.fixture
def store(tmp_path: Path) -> ReleaseFiles:
    """Give an empty store."""
    return ReleaseFiles(tmp_path / "releases")


@pytest.fixture
def artifacts(tmp_path: Path, store: ReleaseFiles) -> ArtifactFiles:
    """Give the artifacts of a workspace with a model of two files."""
    model = tmp_path / "models" / "asr"
    (model / "sub").mkdir(parents=True)
    (model / "model.bin").write_bytes(b"weights")
    (model / "sub" / "vocabulary.txt").write_bytes(b"words")
    (model / ".cache").write_bytes(b"hidden")
    return ArtifactFiles(tmp_path, tmp_path / ".relkit" / "cache" / "artifacts", read=store.read)


def of_files(artifacts: ArtifactFiles, root: str = "models/asr", version: str = "1.0") -> Release:
    """Return a release of the files at a root."""
    folder, files, digest = artifacts.listing(root)
    return release(
        version, kind="files", artifact=Artifact(digest=digest, root=folder, files=files)
    )


def test_a_release_is_kept_and_read(store: ReleaseFiles) -> None:
    """It comes back; writing it again changes nothing; versions count as numbers do."""
    for version in ("1.10", "1.9", "1.9-rc1"):
        store.write(release(version))
        store.write(release(version))
    assert store.read("asr", "1.9") == release("1.9")
    assert store.models() == ("asr",)
    assert store.versions("asr") == ("1.9", "1.9-rc1", "1.10")


def test_a_version_never_gets_another_digest(store: ReleaseFiles) -> None:
    """The message says what differs, and the file stays."""
    store.write(release())
    with pytest.raises(InvalidInput, match=r"with another digest: owner"):
        store.write(release(owner="another team"))
    assert store.read("asr", "1.0.0") == release()


@pytest.mark.parametrize(
    ("model", "version", "said", "hint"),
    [
        ("asx", "1.0.0", 'no model "asx"', 'did you mean "asr"?'),
        ("asr", "1.0.1", 'asr has no release "1.0.1"', 'did you mean "1.0.0"?'),
        ("../..", "1.0.0", "no model", "known: asr"),
        ("asr", "../1", "is no version", "for example"),
    ],
)
def test_what_is_unknown_is_named_with_the_nearest(
    store: ReleaseFiles, model: str, version: str, said: str, hint: str
) -> None:
    """A typing error is told as one, and no name leads out of the folder."""
    store.write(release())
    with pytest.raises(UsageError, match=said) as caught:
        store.read(model, version)
    assert hint in str(caught.value.hint)


def test_a_release_in_the_wrong_folder_is_refused(store: ReleaseFiles, tmp_path: Path) -> None:
    """A copied folder would otherwise be the same release under two names."""
    store.write(release())
    (tmp_path / "releases" / "asr" / "1.0.0").rename(tmp_path / "releases" / "asr" / "2.0.0")
    with pytest.raises(InvalidInput, match=r"calls itself asr 1\.0\.0"):
        store.read("asr", "2.0.0")
    assert store.examine("asr", "2.0.0").release is None


def test_a_folder_without_a_release_is_none(store: ReleaseFiles, tmp_path: Path) -> None:
    """A kill before the file was written leaves one behind."""
    (tmp_path / "releases" / "asr" / "3.0").mkdir(parents=True)
    assert store.models() == store.versions("asr") == ()
    (defect,) = store.examine("asr", "3.0").defects
    assert "there is no release.json" in defect.message


def test_evidence_lies_beside_a_release(store: ReleaseFiles) -> None:
    """It is kept by name and is no release."""
    store.write(release())
    store.keep("asr", "1.0.0", "report.json", b"{}")
    assert list(store.evidence("asr", "1.0.0")) == [("report.json", b"{}")]


def test_what_lies_beside_a_release_is_a_file_of_its_folder(
    store: ReleaseFiles, tmp_path: Path
) -> None:
    """Nothing there is nothing; a folder, a link elsewhere and one to nothing are refused."""
    store.write(release())
    path = store.path("asr", "1.0.0").with_name("card.yaml")
    assert store.beside("asr", "1.0.0", "card.yaml") is None
    path.write_bytes(b"words")
    assert store.beside("asr", "1.0.0", "card.yaml") == b"words"
    path.rename(tmp_path / "elsewhere.yaml")
    for target in (tmp_path / "elsewhere.yaml", tmp_path / "nowhere"):
        path.symlink_to(target)
        with pytest.raises(InvalidInput, match=r"asr/1\.0\.0/card\.yaml: is no file beside"):
            store.beside("asr", "1.0.0", "card.yaml")
        path.unlink()
    path.mkdir()
    with pytest.raises(InvalidInput, match="is no file beside"):
        store.beside("asr", "1.0.0", "card.yaml")


def test_the_digest_of_a_folder_is_that_of_a_run(artifacts: ArtifactFiles, tmp_path: Path) -> None:
    """A decision about a run is a decision about the release: both name the same digest."""
    root, files, digest = artifacts.listing("models/asr")
    assert (root, list(files)) == ("models/asr", ["model.bin", "sub/vocabulary.txt"])
    assert digest == tree_digest(files) == folder_digest(tmp_path / "models" / "asr")
    assert artifacts.listing("models/asr/model.bin") == (
        "models/asr",
        {"model.bin": sha256_bytes(b"weights")},
        sha256_bytes(b"weights"),
    )


def test_files_verify_from_their_bytes(artifacts: ArtifactFiles, tmp_path: Path) -> None:
    """Changed, missing and added files are named."""
    one = of_files(artifacts)
    assert artifacts.verify(one) is None
    path = tmp_path / "models" / "asr" / "model.bin"
    path.write_bytes(b"Weights")
    assert artifacts.verify(one) == "models/asr/model.bin does not have its digest"
    path.unlink()
    assert artifacts.verify(one) == "models/asr/model.bin is missing"
    path.write_bytes(b"weights")
    (path.parent / "more.bin").write_bytes(b"")
    assert artifacts.verify(one) == "models/asr/more.bin is not among the release's files"


def test_one_file_verifies_whatever_lies_beside_it(artifacts: ArtifactFiles) -> None:
    """Its folder is not the artifact."""
    assert artifacts.verify(of_files(artifacts, "models/asr/model.bin")) is None


@pytest.mark.parametrize("root", ["../elsewhere", "/etc", "models/nothing"])
def test_an_artifact_lies_inside_the_workspace(artifacts: ArtifactFiles, root: str) -> None:
    """What is elsewhere, or nowhere, is refused."""
    with pytest.raises(InvalidInput, match=r"outside the workspace|has no files"):
        artifacts.listing(root)


def test_a_link_does_not_lead_out(artifacts: ArtifactFiles, tmp_path: Path) -> None:
    """The place counts that a path really leads to."""
    (tmp_path / "models" / "out").symlink_to("/etc")
    with pytest.raises(InvalidInput, match="outside the workspace"):
        artifacts.listing("models/out")


def test_an_image_is_named_by_its_digest(artifacts: ArtifactFiles) -> None:
    """A registry's client checks it; there is nothing here to read."""
    assert artifacts.verify(release()) is None
    assert not artifacts.absent(release())


def test_a_download_verifies_from_its_copy(artifacts: ArtifactFiles, tmp_path: Path) -> None:
    """Without the bytes nothing is claimed, and the reason says how to get them."""
    digest = sha256_bytes(b"weights")
    one = release(artifact=Artifact(digest=digest, reference="https://models.example/asr.bin"))
    why = artifacts.verify(one)
    name = digest.removeprefix("sha256:")
    place = f".relkit/cache/artifacts/{name}"
    assert why is not None
    assert why.endswith(f"curl -fLo {place} https://models.example/asr.bin")
    assert artifacts.absent(one)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    assert artifacts.verify(one) is None
    path.write_bytes(b"other")
    assert "does not have its digest" in str(artifacts.verify(one))
    assert not artifacts.absent(one)


def test_a_stack_verifies_what_it_pins(
    artifacts: ArtifactFiles, store: ReleaseFiles, tmp_path: Path
) -> None:
    """One component that does not verify is enough, and is named."""
    store.write(of_files(artifacts))
    stack = release(
        model="voice", kind="stack", component="stack", artifact=None, pins={"asr": "1.0"}
    )
    assert artifacts.verify(stack) is None
    (tmp_path / "models" / "asr" / "model.bin").write_bytes(b"")
    assert "it pins asr 1.0: models/asr/model.bin" in str(artifacts.verify(stack))
    gone = release(model="voice", kind="stack", component="stack", artifact=None, pins={"asr": "9"})
    assert 'it pins asr 9: asr has no release "9"' in str(artifacts.verify(gone))


def test_a_vendors_model_has_nothing_to_read(artifacts: ArtifactFiles) -> None:
    """Its identity is its configuration."""
    hosted = HostedIdentity(provider="acme", model="x", configuration="sha256:" + "c" * 64)
    assert artifacts.verify(release(kind="hosted", artifact=None, hosted=hosted)) is None
