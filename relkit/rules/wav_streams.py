"""WAV files that arrive in pieces, from writers that cannot go back to their header.

Layout: RIFF, Multimedia Programming Interface and Data Specifications 1.0 (1991).
"""

import struct

_UNKNOWN = 0x7FFF0000  # espeak-ng writes 0x7ffff000, others 0xffffffff, for "until the end"
_CHUNK = 8


def stream_header(sample_rate: int) -> bytes:
    """Return the head of a mono 16-bit PCM WAV file whose length is not known yet."""
    form = struct.pack("<HHIIHH", 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    open_end = struct.pack("<I", 0xFFFFFFFF)
    return b"RIFF" + open_end + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + open_end


def audio_start(data: bytes | bytearray) -> int | None:
    """Return where the samples begin, None where that is not known yet.

    Raises ValueError for bytes that cannot be the start of a WAV file.
    """
    if not b"RIFF".startswith(bytes(data[:4])) or not b"WAVE".startswith(bytes(data[8:12])):
        raise ValueError("no WAV file")
    at = 12
    while len(data) >= at + _CHUNK:
        (length,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == b"data":
            return at + _CHUNK
        at += _CHUNK + length + length % 2
    return None


def whole_wav(data: bytes | bytearray) -> bytes:
    """Return the file with the lengths that it really has, where its header leaves them open.

    A header that promises more than there is stays as it is: that is a torn file, and its reader
    says so. Raises ValueError for bytes that hold no samples of a WAV file.
    """
    start = audio_start(data)
    if start is None or start == len(data):
        raise ValueError("no samples")
    (claimed,) = struct.unpack_from("<I", data, start - 4)
    if 0 < claimed < _UNKNOWN:
        return bytes(data)
    mended = bytearray(data)
    struct.pack_into("<I", mended, 4, len(data) - _CHUNK)
    struct.pack_into("<I", mended, start - 4, len(data) - start)
    return bytes(mended)
