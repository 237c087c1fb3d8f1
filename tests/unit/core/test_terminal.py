"""What people see fits 80 columns, loses nothing, and steers no terminal."""

from hypothesis import example, given
from hypothesis import strategies as st

from relkit.core.wording import WIDTH, columns, terminal

WORDS = st.text(alphabet="abcäß=&-:#[]…", min_size=1, max_size=30)
TEXTS = st.lists(WORDS, max_size=20).map(" ".join)
ROWS = st.integers(min_value=1, max_value=6).flatmap(
    lambda numbers: st.lists(
        st.tuples(WORDS, *[st.from_regex(r"[0-9]{0,9}", fullmatch=True)] * numbers, TEXTS),
        min_size=1,
        max_size=5,
    )
)


@given(ROWS)
def test_a_table_fits_and_holds_every_word(rows: list[tuple[str, ...]]) -> None:
    """Whatever the cells are, no line is too long, and words come in the order of the rows."""
    last = len(rows[0]) - 1
    shown = columns(rows, to_left=(0, last))
    assert max(map(len, shown.split("\n"))) <= WIDTH
    assert shown.split() == [word for row in rows for cell in row for word in cell.split()]


@example([": " * 25 + "##[ " * 7])
@given(st.lists(TEXTS, max_size=5))
def test_text_fits_and_keeps_its_words(lines: list[str]) -> None:
    """Long lines go on below, further in; only spaces and the marks of runners change."""
    shown = terminal("\n".join(lines))
    assert all(len(line) <= WIDTH + 1 for line in shown.split("\n"))
    assert "".join(shown.split()).replace("::", "") == "".join("".join(lines).split()).replace(
        "::", ""
    )


def test_a_word_that_is_too_long_stays_whole() -> None:
    """A path to copy is not cut in two."""
    path = "/" + "x" * 100
    assert terminal(f"report: {path}").split("\n") == ["report:", f"  {path}"]


def test_a_command_is_not_cut_in_two() -> None:
    """Who copies it from the terminal has the whole of it."""
    command = "relkit rollback asr --bad 2.3.0 --slice accent=scottish --to 2.1.0 --apply"
    shown = terminal(f"  1. append the event and move the alias: {command}")
    assert shown.split("\n") == ["  1. append the event and move the alias:", f"    {command}"]


def test_a_folded_line_is_no_command_of_a_runner() -> None:
    """What comes to the start of a line by folding is escaped there."""
    words = "x " * 39
    assert (
        terminal(f"{words}::error::no ##[group]here").split("\n")[1]
        == "  : :error::no ## [group]here"
    )


def test_a_short_last_column_stays_beside_its_row() -> None:
    """A mark of one character is worth more than a first cell on the same line."""
    rows = [["name", "value", ""], ["y" * 70, "123456", "*"], ["z", "1", "*"]]
    assert columns(rows, to_left=(0, 2)).split("\n")[1:] == [
        "y" * 70,
        " " * 71 + "123456  *",
        "z" + " " * 75 + "1  *",
    ]
