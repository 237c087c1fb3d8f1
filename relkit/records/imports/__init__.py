"""Datasets of other tools, text to rows; no file is opened here."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from relkit.domain.imports import ImportKind, ParsedSource, SourceFile
from relkit.records.imports.audio_folder import parse_audio_folder
from relkit.records.imports.common_voice import parse_common_voice
from relkit.records.imports.kaldi import parse_kaldi
from relkit.records.imports.nemo import parse_nemo

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
