"""Tokens in every place where people's data lies, and where relkit's commands left any of them.

``tests/honeytokens.py`` plants them, runs the commands as in a public CI, and keeps what they show:
the table counts tokens in it, by place and by how they are written. The last column writes each
token in every encoding of ``tests/encodings.py`` into a page, and counts how many the scan finds.
"""

import tempfile
from collections import Counter
from pathlib import Path

from relkit.core import wording
from tests.encodings import ENCODINGS
from tests.honeytokens import PLACES, SEARCH, run_all, token

COLUMNS = {
    "as is": ("plain", "case", "full-width"),
    "split": ("split",),
    "base64": ("base64", "hex", "bytes"),
    "escaped": ("url", "html", "escapes", "quoted-printable"),
    "UTF-16": ("utf-16",),
    "reversed": ("reversed",),
    "spoken": ("spoken digits",),
    "hashed": ("md5", "sha1", "sha256"),
}
"""Heads of the table, and the outermost encodings below each."""


def main() -> None:
    """Print a row for each place."""
    with tempfile.TemporaryDirectory() as folder:
        hive = run_all(Path(folder))
    heads = {name: head for head, names in COLUMNS.items() for name in names}
    counts: Counter[tuple[str, str]] = Counter()
    for leak in hive.leaks():
        if leak.command.startswith("internal: "):
            head = "team"
        elif leak.stream in {"stdout", "MLflow"}:
            head = "terminal"
        else:
            head = heads[leak.encoding.partition("+")[0].partition(" prefix")[0]]
        counts[leak.place, head] += 1
    page = next(output.data for output in hive.outputs if output.stream == "html")
    rows = [["planted in", *COLUMNS, "terminal", "team", "found"]]
    for place in PLACES:
        written = (page + encode(token(place)) + page for encode in ENCODINGS.values())
        seen = sum(any(hit.token == place for hit in SEARCH.scan(data)) for data in written)
        hits = [str(counts[place, head]) for head in (*COLUMNS, "terminal", "team")]
        rows.append([place, *hits, f"{seen}/{len(ENCODINGS)}"])
    commands = len(hive.codes)
    size = sum(len(output.data) for output in hive.outputs)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for first, *others in rows:
        cells = zip(others, widths[1:], strict=True)
        print(first.ljust(widths[0]), *(cell.rjust(width) for cell, width in cells), sep="  ")
    print(
        f"\n{commands} commands, {len(hive.outputs)} streams and files, {wording.count(size)} bytes"
        "\nas is … hashed: what is shared with ci: shared, logs and tracebacks included"
        "\nterminal: standard output and MLflow, for who sits at the machine"
        "\nteam: reports and CI with ci: internal, and the error explorer, which is asked for"
        "\nfound: encodings of the token that the scan finds in a page that has it"
    )


if __name__ == "__main__":
    main()
