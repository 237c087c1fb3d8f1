"""OpenAI's transcription API as text: replies, events of a stream, and what is neither."""

import pytest

from relkit.adapters.systems.openai import Reply, parse_event, parse_reply
from relkit.core.errors import InvalidInput


def test_a_reply_is_its_text_and_the_plain_numbers_of_its_usage() -> None:
    """What lies deeper in the usage, and what is no number or no name, is left out."""
    data = (
        b'{"text": "hello", "usage": {"type": "tokens", "input_tokens": 14, "seconds": 2.5, '
        b'"input_token_details": {"audio_tokens": 14}, "flag": true, "a b": 1, "huge": 1e300}}'
    )
    usage = {"input_tokens": 14.0, "seconds": 2.5}
    assert parse_reply(data) == Reply(kind="done", text="hello", usage=usage)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"secret",
        b'"secret"',
        b'["secret"]',
        b'{"text": 5, "secret": 1}',
        b'{"transcript": "secret"}',
        b'{"text": "secret", "text": "twice"}',
        b'{"text": "secret", "usage": NaN}',
        b'{"text": "secret \\ud800"}',
        b'{"text": "secret \xff"}',
    ],
)
def test_what_is_no_reply_is_refused_in_words_that_repeat_nothing(data: bytes) -> None:
    """A response may hold anything, so an error says only what kind of thing it is not."""
    with pytest.raises(InvalidInput) as caught:
        parse_reply(data)
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", None),
        (b": a comment", None),
        (b"event: transcript.text.delta", None),
        (b"data: [DONE]", None),
        (b'data: {"type": "transcript.other"}', None),
        (
            b'data: {"type": "transcript.text.delta", "delta": "he"}\r',
            Reply(kind="delta", text="he"),
        ),
        (
            b'data:{"type": "transcript.text.done", "text": "hello", "usage": {"n": 1}}',
            Reply(kind="done", text="hello", usage={"n": 1.0}),
        ),
    ],
)
def test_a_line_of_a_stream_is_an_event_or_nothing(line: bytes, expected: Reply | None) -> None:
    """Deltas and the end are told apart; everything else is passed over."""
    assert parse_event(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"data: nonsense",
        b'data: {"type": "transcript.text.delta"}',
        b'data: {"type": "transcript.text.done", "text": null}',
    ],
)
def test_an_event_without_its_text_is_refused(line: bytes) -> None:
    """A broken event never becomes an empty text."""
    with pytest.raises(InvalidInput):
        parse_event(line)
