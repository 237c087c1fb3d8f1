"""Datasets as folders: ``dataset.yaml``, a manifest, audio inside declared roots only.

``reading`` turns a folder into utterances and digests, ``locks`` compares it with its
``lock.json``, ``store`` finds datasets and old versions of them.
"""

from relkit.adapters.dataset_files.store import (
    DatasetFiles,
    Revisions,
    RevisionsOf,
    VersionedAudio,
)

__all__ = ["DatasetFiles", "Revisions", "RevisionsOf", "VersionedAudio"]
