"""``relkit listen``: turns and latencies of recordings that were made elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from relkit.conversation.logs import turns_of_user
from relkit.conversation.types import SoundSpan
from tests.conftest import ROOT, Workspace

RATE = 16_000
Samples = NDArray[np.float32]


def noise(*spans: tuple[float, float], seed: int, seconds: float = 12.0) -> Samples:
    """Return a channel with sound whose level goes up and down in these spans, in s."""
    generator = np.random.default_rng(seed)
    channel = np.zeros(int(seconds * RATE), dtype=np.float32)
    for start, stop in spans:
        frames = round((stop - start) * 20)
        levels = np.repeat(generator.uniform(0.05, 0.3, frames), RATE // 20)
        at = int(start * RATE)
        channel[at : at + len(levels)] = levels * generator.standard_normal(len(levels))
    return channel


USER = noise((1.0, 2.0), (2.5, 3.0), (7.0, 8.0), seed=1)
AGENT = noise((3.5, 5.0), (9.0, 10.0), seed=2)


@pytest.fixture
def workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Workspace:
    """Give a folder with nothing in it but what makes it a workspace: listening needs no more."""
    (tmp_path / "relkit.yaml").write_bytes((ROOT / "relkit.yaml").read_bytes())
    return Workspace(folder=tmp_path, capture=capsys)


def write(path: Path, *channels: Samples) -> Path:
    """Write a recording of these channels."""
    soundfile.write(path, np.stack(channels, axis=1), RATE)
    return path


def test_turns_of_a_recording_are_measured_without_a_suite(workspace: Workspace) -> None:
    """A pause in mid-sentence ends no turn; times are those of the sound to 20 ms."""
    path = write(workspace.folder / "call.wav", USER, AGENT)
    document = workspace.relkit("listen", str(path), "--json").document
    assert (document["vad"], document["source"]) == ("energy", "vad")
    (recording,) = document["recordings"]
    assert not Path(recording["path"]).is_absolute()
    times = [
        (turn["start_ms"], turn["stop_ms"], turn["response_ms"]) for turn in recording["turns"]
    ]
    assert np.allclose(times, [(1000, 3000, 500), (7000, 8000, 1000)], atol=20)
    assert [turn["kind"] for turn in recording["turns"]] == ["answered", "answered"]
    assert recording["overlap_ms"] == 0
    assert abs(recording["dead_air_ms"] - 2000) <= 20
    assert recording["cross_talk"] is None


def test_the_text_says_what_a_latency_is_worth(workspace: Workspace) -> None:
    """Within 80 columns: the percentiles, and that voice activity is no truth."""
    path = write(workspace.folder / "call.wav", USER, AGENT)
    shown = workspace.relkit("listen", str(path)).out
    assert "750 ms" in shown
    assert "good to about 0.2 s a turn" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80


def test_swapped_channels_swap_roles_and_two_files_are_one_recording(workspace: Workspace) -> None:
    """A channel is whose it is said to be, wherever it lies."""
    stereo = write(workspace.folder / "call.wav", USER, AGENT)
    turned = write(workspace.folder / "turned.wav", AGENT, USER)
    user = write(workspace.folder / "user.wav", USER)
    agent = write(workspace.folder / "agent.wav", AGENT)
    first = workspace.relkit("listen", str(stereo), "--json").document["recordings"][0]
    for arguments in (
        (str(turned), "--user", "right", "--agent", "left"),
        ("--user", str(user), "--agent", str(agent)),
    ):
        other = workspace.relkit("listen", *arguments, "--json").document["recordings"][0]
        assert other | {"path": ""} == first | {"path": ""}


def test_an_echo_of_the_agent_is_noted(workspace: Workspace) -> None:
    """Levels of the user's channel that follow the agent's are the loudspeaker's."""
    echo = USER.copy()
    echo[800:] += np.float32(0.1) * AGENT[:-800]
    path = write(workspace.folder / "echo.wav", echo, AGENT)
    document = workspace.relkit("listen", str(path), "--json").document
    assert document["recordings"][0]["cross_talk"] > 0.9
    assert "an echo" in workspace.relkit("listen", str(path)).out


def test_a_folder_is_listened_to_as_a_whole(workspace: Workspace) -> None:
    """Each recording has its row, and all of them one."""
    folder = workspace.folder / "calls"
    folder.mkdir()
    write(folder / "a.wav", USER, AGENT)
    write(folder / "b.wav", AGENT, USER)
    shown = workspace.relkit("listen", str(folder))
    assert [line.split()[0] for line in shown.out.splitlines()[1:4]][-1] == "all"


@pytest.mark.parametrize(
    ("channels", "code", "message"),
    [
        ((USER,), 2, "1 channel, where user and agent each need one"),
        ((np.zeros(RATE, np.float32),) * 2, 4, "nobody speaks"),
        ((np.zeros(0, np.float32),) * 2, 2, "holds no sound"),
    ],
)
def test_a_recording_without_two_sides_is_refused(
    workspace: Workspace, channels: tuple[Samples, ...], code: int, message: str
) -> None:
    """Mono is no conversation, and silence no data."""
    refused = workspace.relkit("listen", str(write(workspace.folder / "x.wav", *channels)))
    assert refused.code == code
    assert message in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to listen to"),
        (("nothing.wav",), "nothing.wav: no such file"),
        (("junk.wav",), "junk.wav: no audio that can be read"),
        (("gates",), "no recording in this folder"),
        (("x.wav", "--user", "middle"), '"middle" is no channel'),
        (("x.wav", "--user", "right"), "are the same channel"),
        (("x.wav", "--vad", "sileor"), 'did you mean "silero"'),
        (("--user", "x.wav", "--agent", "short.wav"), "the sides have different lengths"),
    ],
)
def test_what_cannot_be_listened_to_is_refused(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """One message, and exit 2."""
    write(workspace.folder / "x.wav", USER)
    write(workspace.folder / "short.wav", AGENT[:RATE])
    (workspace.folder / "junk.wav").write_bytes(b"RIFFxxxx")
    (workspace.folder / "gates").mkdir(exist_ok=True)
    monkeypatch.chdir(workspace.folder)
    refused = workspace.relkit("listen", *arguments)
    assert refused.code == 2
    assert message in refused.err


def test_an_answer_in_a_pause_ends_the_turn() -> None:
    """Where the agent speaks between two stretches they are two turns."""
    user = [SoundSpan(start_ms=0, stop_ms=500), SoundSpan(start_ms=1200, stop_ms=1500)]
    assert len(turns_of_user(user, [])) == 1
    assert len(turns_of_user(user, [SoundSpan(start_ms=600, stop_ms=800)])) == 2
