"""The last look at what is about to go out: nothing in it that must stay, in any encoding.

It refuses instead of masking: what was found stands where nobody expected it, and so may more.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from relkit.attestation.envelopes import Envelope
from relkit.attestation.statements import PREDICATES, WrittenStatement
from relkit.attestation.types import VerificationSummary
from relkit.core.codec import schema
from relkit.core.errors import InvalidInput
from relkit.core.slices import slice_parts
from relkit.disclosure.leaks import LeakSearch, LeakToken, leak_token
from relkit.disclosure.types import Packet
from relkit.incident.packets.types import PACKET_ENDING
from relkit.registry.types import ReleaseEvent

_FORM = json.dumps(
    [
        *PREDICATES,
        *map(schema, (Envelope, WrittenStatement, VerificationSummary)),
    ]
)
"""What is written around every packet and summary: "application" of its media type."""


def hidden_names(issued: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return (what it is, text) of each name that has a pseudonym."""
    names = []
    for stands_for in issued.values():
        if "=" in stands_for:
            names += [(f"a value of {column}", value) for column, value in slice_parts(stands_for)]
        else:
            names.append(("the name of a column", stands_for))
    return tuple(names)


def unsaid_of(events: Iterable[ReleaseEvent]) -> tuple[tuple[str, str], ...]:
    """Return (what it is, text) of who did what in a ledger, and why."""
    texts = []
    for event in events:
        texts += [("who did it, from the ledger", event.by)]
        texts += [("the reason of an event", event.reason)] if event.reason else []
    return tuple(dict.fromkeys(texts))


def refuse_leaks(
    files: Mapping[str, bytes],
    secrets: Sequence[LeakToken],
    texts: Iterable[tuple[str, str]],
    said: Iterable[str],
) -> None:
    """Raise InvalidInput where a file holds a secret, or the packet a text that must stay.

    ``texts`` are (what it is, text). Those that can be told from no key of a packet, and from
    nothing that is shown on purpose (``said``), are passed over, as are those too short to be told
    from chance. The page has words of its own that a text could be; it is drawn from the packet
    alone. The message names neither the text nor the file's folder.
    """
    vocabulary = "\n".join((_FORM, json.dumps(schema(Packet)), *said))
    tokens = []
    for what, text in texts:
        try:
            tokens.append(leak_token(text, what, where=what))
        except InvalidInput:  # too short
            continue
    # One of a kind hides others of it: each is looked for by itself.
    shown = {
        place.token
        for place in LeakSearch(
            LeakToken(value=token.value, shown=str(number)) for number, token in enumerate(tokens)
        ).scan(vocabulary.encode())
    }
    unlike = [token for number, token in enumerate(tokens) if str(number) not in shown]
    everything, alone = LeakSearch((*secrets, *unlike)), LeakSearch(secrets)
    for name, content in files.items():
        search = everything if name.endswith(PACKET_ENDING) else alone
        for place in search.scan(content):
            raise InvalidInput(
                f"{name}: would hold what must not leave: {place.token} ({place.encoding})",
                hint="nothing was written; look at names in relkit.yaml and in the registry",
            )
