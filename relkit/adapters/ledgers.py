"""Ledgers as files: ``registry/events/<model>.jsonl`` and, beside each, its anchor."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from relkit.core import storage
from relkit.core.codec import decode, nearest
from relkit.core.errors import Busy, InvalidInput, StorageFailed, UsageError
from relkit.core.yaml_text import shown, where
from relkit.registry.chain import chain_problems, label, merged
from relkit.registry.ledger import refusal, refusal_in, state_of
from relkit.registry.ledger_files import (
    content_key,
    parse_anchors,
    parse_ledger,
    rechained,
    render_anchor,
    render_event,
    render_ledger,
    seal,
)
from relkit.registry.types import (
    MENDABLE,
    MODEL_NAME,
    Anchor,
    ChainProblem,
    LedgerReading,
    ReleaseEvent,
)

ENDING = ".jsonl"
ANCHOR_ENDING = ".head"
ATTRIBUTES = ".gitattributes"

MERGE_RULE = f"*{ENDING} text eol=lf merge=union\n*{ANCHOR_ENDING} text eol=lf merge=union\n"
"""What git is told in the folder: the lines of two branches are all kept (docs/registry.md)."""

_MEND = "relkit registry verify {model} --repair"
_RESTORE = "put the ledger back as git has it: git log -p -- registry/events, git checkout"
_PATIENCE_S = 10.0
_PAUSE_S = 0.02


class LedgerFiles:
    """Implements ``ReleaseLedger``: locked, fsynced, compare-and-set on the sequence."""

    def __init__(self, folder: Path, *, locks: Path) -> None:
        """Keep ledgers in ``folder``, and their locks in ``locks``, which git ignores."""
        self._folder = folder
        self._locks = locks

    def models(self) -> tuple[str, ...]:
        """Return the models that have a ledger, or the anchor of one, sorted."""
        if not self._folder.is_dir():
            return ()
        endings = (ENDING, ANCHOR_ENDING)
        names = {
            p.name.removesuffix(p.suffix) for p in self._folder.iterdir() if p.suffix in endings
        }
        return tuple(sorted(name for name in names if not name.startswith(".")))

    def events(self, model: str) -> tuple[ReleaseEvent, ...]:
        """Return a model's events, oldest first, none where there is no ledger.

        A torn last line is left out: it was never acknowledged. Raises InvalidInput for a ledger
        whose chain is broken, naming the line and what happened.
        """
        return self._sound(self.read(model), model)

    def read(self, model: str) -> LedgerReading:
        """Return a ledger with all that is wrong with it; raises UsageError for no name.

        Nothing is locked, unless something looks wrong: then it is looked at again when nobody
        writes. Where that is not possible what was seen first counts.
        """
        reading = self._read(model)
        if reading.problems:
            with suppress(Busy, StorageFailed), self._held(model):
                return self._read(model)
        return reading

    def _read(self, model: str) -> LedgerReading:
        """Read the anchor first: events are only added, so that it is never ahead of them."""
        path = self._path(model)
        source = path.name
        anchored, anchors, broken = self._anchors(model)
        data = storage.read_bytes(path, what=source) if path.exists() else b""
        parsed = parse_ledger(data, source=source)
        problems = chain_problems(model, parsed.lines, anchors)
        if parsed.markers:
            message = "holds the marks of a git conflict: two branches were merged by hand"
            marks = ChainProblem(code="conflict", message=message, line=parsed.markers[0])
            problems = (marks, *problems)
        if parsed.torn:
            message = f"the last line is torn ({parsed.torn} bytes of an event not acknowledged)"
            last = data.count(b"\n") + 1
            problems = (*problems, ChainProblem(code="torn", message=message, line=last))
        if broken is not None:
            problems = (*problems, broken)
        chained = all(problem.code == "torn" for problem in problems)
        if chained and (out := refusal_in(line.event for line in parsed.lines if line.event)):
            message = f"{label(out[0])} cannot have happened: {out[1]}"
            problems = (*problems, ChainProblem(code="inadmissible", message=message))
        return LedgerReading(source=source, parsed=parsed, problems=problems, anchored=anchored)

    def append(self, event: ReleaseEvent, *, expected: int) -> ReleaseEvent:
        """Append an event and return it sealed; it is on disk when this returns.

        ``expected`` is the sequence of the last event that the plan was made from, 0 for none.
        Raises Busy where the ledger is held or has gone on since, InvalidInput where it is broken
        or the event cannot happen now, StorageFailed.
        """
        model = event.model
        with self._held(model):
            read = self._read(model)
            events = self._sound(read, model)
            if len(events) != expected:
                since = [label(newer) for newer in events[expected:][:1]] or ["it is shorter now"]
                raise Busy(
                    f"the ledger of {model} has changed since it was read: {since[0]}",
                    hint=f"look at it: relkit registry history {model}, and decide again",
                )
            why = refusal(state_of(model, events), event)
            if why is not None:
                raise InvalidInput(f"{model} {event.version}: {why}")
            sealed = seal(
                event,
                sequence=expected + 1,
                previous=events[-1].digest if events else None,
            )
            self._write(model, read, events, sealed)
        return sealed

    def repair(self, model: str) -> tuple[str, ...]:
        """Mend a ledger from what is certain and return what was done, in words.

        A torn line is cut off, a whole one without its line feed ended, lines are put into the
        order of their chain, duplicates and marks of a conflict dropped, merged branches chained
        anew, the anchor brought up to date. Raises InvalidInput where events are missing or
        edited, or where branches do not commute: then nothing is changed.
        """
        with self._held(model):
            self._drop_leftovers(model)
            read = self._read(model)
            for problem in read.problems:
                if problem.code not in MENDABLE:
                    raise _error(read.source, problem, _RESTORE)
            if not read.problems and not read.parsed.unended:
                return self._anchor_again(model, read)
            distinct = {event.digest: event for event in read.events}
            events = tuple(rechained(merged(distinct.values(), content_key)))
            done = [f"{read.source}: {problem.message}: mended" for problem in read.problems]
            if read.parsed.unended:
                done.append(f"{read.source}: the last line had no line feed: ended")
            self._write_attributes()
            storage.write_bytes(self._path(model), render_ledger(events))
            self._write_anchor(model, events)
        return tuple(done)

    def _anchor_again(self, model: str, read: LedgerReading) -> tuple[str, ...]:
        """Bring the anchor up to date where a kill came between it and the event."""
        events = self._sound(read, model)
        if read.anchored == render_anchor(events):
            return ()
        self._write_anchor(model, events)
        return (f"{model}{ANCHOR_ENDING}: brought up to event {len(events)}",)

    def _write(
        self,
        model: str,
        read: LedgerReading,
        events: tuple[ReleaseEvent, ...],
        sealed: ReleaseEvent,
    ) -> None:
        """Write the event, then the anchor: a kill between leaves an anchor that lags behind."""
        self._write_attributes()
        self._drop_leftovers(model)
        path = self._path(model)
        if read.parsed.torn or read.parsed.unended or not events:
            # Whole and fsynced at once: nothing is cut off before what is certain is safe.
            storage.write_bytes(path, render_ledger((*events, sealed)))
        else:
            with storage.AppendLog(path) as log:
                log.append(render_event(sealed))
                log.sync()
        self._write_anchor(model, (*events, sealed))

    def _write_anchor(self, model: str, events: tuple[ReleaseEvent, ...]) -> None:
        storage.write_text(self._folder / f"{model}{ANCHOR_ENDING}", render_anchor(events))

    def _write_attributes(self) -> None:
        path = self._folder / ATTRIBUTES
        if not path.exists():
            storage.write_text(path, MERGE_RULE)

    def _drop_leftovers(self, model: str) -> None:
        """Remove the temp files that a kill left of this model, whose lock is held."""
        leftover = re.compile(rf"\.{re.escape(model)}({ENDING}|{ANCHOR_ENDING})\.[a-z0-9_]{{8}}")
        for path in self._folder.glob(f".{model}.*"):
            if leftover.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def _anchors(self, model: str) -> tuple[str, tuple[Anchor, ...], ChainProblem | None]:
        path = self._folder / f"{model}{ANCHOR_ENDING}"
        if not path.exists():
            return "", (), None
        try:
            text = decode(storage.read_bytes(path, what=path.name), source=path.name)
            return text, parse_anchors(text, source=path.name), None
        except InvalidInput as error:
            return "", (), ChainProblem(code="unanchored", message=error.message)

    def _sound(self, read: LedgerReading, model: str) -> tuple[ReleaseEvent, ...]:
        for problem in read.problems:
            if problem.code != "torn":
                mendable = problem.code in MENDABLE
                raise _error(
                    read.source, problem, _MEND.format(model=model) if mendable else _RESTORE
                )
        return read.events

    def _path(self, model: str) -> Path:
        if not re.fullmatch(MODEL_NAME, model):
            raise UsageError(
                f'"{shown(model)}" is no name of a model', hint=nearest(model, self.models())
            )
        return self._folder / f"{model}{ENDING}"

    @contextmanager
    def _held(self, model: str) -> Iterator[None]:
        """Hold a model's ledger, waiting a while for it: another append is done in a moment."""
        self._path(model)
        until = time.monotonic() + _PATIENCE_S
        with ExitStack() as stack:
            while True:
                held = storage.lock_file(
                    self._locks / f"{model}.lock", what=f"the ledger of {model}"
                )
                try:
                    stack.enter_context(held)
                    break
                except Busy:
                    if time.monotonic() > until:
                        raise
                    time.sleep(_PAUSE_S)
            yield


def _error(source: str, problem: ChainProblem, hint: str) -> InvalidInput:
    return InvalidInput(f"{where(source, problem.line)}: {problem.message}", hint=hint)
