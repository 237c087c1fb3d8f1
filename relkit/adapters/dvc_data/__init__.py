"""Audio under DVC: put there by DVC's own commands, read from its caches and remotes.

Importing DVC takes a second, so this process never does. What lies in the cache, or in a remote
that is a local folder, is copied and verified here; everything else is DVC's work in a child
process, with the user's configuration, and without analytics or update checks.
"""

from relkit.adapters.dvc_data.audio import DvcAudio, Tracked, dvc_init

__all__ = ["DvcAudio", "Tracked", "dvc_init"]
