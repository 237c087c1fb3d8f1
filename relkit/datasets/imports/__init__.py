"""Datasets of other tools, text to rows; no file is opened here."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from relkit.datasets.imports.audio_folder import parse_audio_folder
from relkit.datasets.imports.common_voice import parse_common_voice
from relkit.datasets.imports.kaldi import parse_kaldi
from relkit.datasets.imports.nemo import parse_nemo
from relkit.datasets.imports.rows import ImportKind, ParsedSource, SourceFile

Parser = Callable[[Sequence[SourceFile]], ParsedSource]


PARSERS: Mapping[ImportKind, Parser] = MappingProxyType(
    {
        ImportKind.NEMO: parse_nemo,
        ImportKind.KALDI: parse_kaldi,
        ImportKind.COMMON_VOICE: parse_common_voice,
        ImportKind.AUDIO_FOLDER: parse_audio_folder,
    }
)
"""How the text files of each layout are read; each raises InvalidInput naming file and line."""
