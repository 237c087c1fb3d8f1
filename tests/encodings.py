"""How a token can be written: every encoding that `relkit doctor --leaks` undoes."""

import base64
import hashlib
import quopri
from collections.abc import Callable, Mapping
from urllib.parse import quote

_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def _full_width(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def _spoken(text: str) -> str:
    """Say runs of digits one by one, two equal ones as "double"; letters stay."""
    out, index = [], 0
    while index < len(text):
        char = text[index]
        if char in "0123456789" and char.isdecimal():
            twice = text[index + 1 : index + 2] == char
            word = "oh" if char == "0" else _WORDS[int(char)]
            out.append(f" double {word} " if twice else f" {word} ")
            index += 2 if twice else 1
        else:
            out.append(char)
            index += 1
    return "".join(out)


def _units(text: str) -> list[int]:
    data = text.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


def _base64(shift: int) -> Callable[[str], bytes]:
    return lambda text: base64.b64encode(b"(" * shift + text.encode() + b")")


def _quoted_printable(text: str) -> bytes:
    return quopri.encodestring(text.encode(), quotetabs=True).replace(b"-", b"=2D")


ENCODINGS: Mapping[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "upper case": lambda text: text.upper().encode(),
    "full width": lambda text: _full_width(text).encode(),
    "base64": _base64(0),
    "base64, shifted by 1": _base64(1),
    "base64, shifted by 2": _base64(2),
    "base64, url-safe": lambda text: base64.urlsafe_b64encode(b"\xfb\xef" + text.encode()),
    "base64, in lines": lambda text: base64.encodebytes(b"-" * 50 + text.encode()),
    "URL": lambda text: quote("".join(f"%{byte:02X}" for byte in text.encode())).encode(),
    "URL, all of it": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()).encode(),
    "hex": lambda text: text.encode().hex().encode(),
    "hex, spaced": lambda text: text.encode().hex(" ").upper().encode(),
    "hex, an array": lambda text: ", ".join(f"0x{byte:02x}" for byte in text.encode()).encode(),
    "reversed": lambda text: text[::-1].encode(),
    "spoken digits": lambda text: _spoken(text).encode(),
    "split by blanks": lambda text: " ".join(text).encode(),
    "split by punctuation": lambda text: ".-".join(text).encode(),
    "split by zero width": lambda text: "\u200b".join(text).encode(),
    "split over lines": lambda text: "\r\n".join(text).encode(),
    "HTML": lambda text: "".join(f"&#x{ord(char):x};" for char in text).encode(),
    "HTML, decimal": lambda text: "".join(f"&#{ord(char)};" for char in text).encode(),
    "JSON": lambda text: "".join(f"\\u{unit:04x}" for unit in _units(text)).encode(),
    "bytes escaped": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()).encode(),
    "quoted-printable": _quoted_printable,
    "UTF-16 LE": lambda text: text.encode("utf-16-le"),
    "UTF-16 BE": lambda text: text.encode("utf-16-be"),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")),
    "hex of base64": lambda text: base64.b64encode(text.encode()).hex().encode(),
    "MD5": lambda text: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().encode(),
    "SHA-1": lambda text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode(),
    "SHA-256": lambda text: hashlib.sha256(text.encode()).hexdigest().upper().encode(),
    "SHA-256, base64": lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()),
    "SHA-256, of a line": lambda text: hashlib.sha256(f"{text}\n".encode()).hexdigest().encode(),
    "SHA-256, 12 digits": lambda text: hashlib.sha256(text.encode()).hexdigest()[:12].encode(),
}
"""What it is called, and how it is made."""
