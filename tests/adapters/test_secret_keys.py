"""The keys of a workspace are made once, and only its owner reads it."""

from pathlib import Path

import pytest

from relkit.adapters.secret_keys import secret_key
from relkit.core.errors import InvalidInput


def test_a_key_is_made_on_first_use_and_stays(tmp_path: Path) -> None:
    """The file is 0600 from its first byte on, and the second run reads the same key."""
    path = tmp_path / "state" / "telemetry.key"
    key = secret_key(path, make=True)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret_key(path, make=True) == secret_key(path, make=False) == key


def test_a_named_key_has_to_be_there(tmp_path: Path) -> None:
    """``--key FILE`` makes none: a misspelt path would give ids that join with nothing."""
    with pytest.raises(InvalidInput, match="no such file"):
        secret_key(tmp_path / "team.key", make=False)


@pytest.mark.parametrize("text", ["", "secret", "00" * 16, "zz" * 32])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    """The message names the file and none of its content."""
    path = tmp_path / "team.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match=r"team\.key: is no key of relkit"):
        secret_key(path, make=False)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """With the key, ids can be guessed and checked."""
    path = tmp_path / "team.key"
    secret_key(path, make=True)
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="others can read it"):
        secret_key(path, make=False)
