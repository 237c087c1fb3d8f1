"""NIST's own tests of sclite: the same counts, utterance by utterance.

The vectors are no part of this project; without them beside the checkout the tests are skipped.
"""

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from relkit.core.digests import digest_of
from relkit.core.tokens import Segmenter
from relkit.core.values import ErrorCounts
from relkit.scoring.normalizers import Pipeline, Step
from relkit.scoring.run import ScoreFile, score_files
from relkit.scoring.types import ScoreResult, TrnOptions

VECTORS = Path(__file__).resolve().parents[2].parent / "shared" / "vectors" / "sctk"
pytestmark = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="the SCTK vectors are not beside the checkout"
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A test of sclite that scores one TRN file against another.

    ``arguments`` are those that shape the counts. ``separated`` are utterances for which sclite
    prefers another split: with its costs (insertion, deletion 3, substitution 4, optional word 2)
    its alignment is cheaper, ours has no more errors. ``case`` are utterances in which Unicode's
    lower case joins letters that sclite's generic UTF-8 profile keeps apart; without lower case
    they agree, or are separated.
    """

    reference: str
    hypothesis: str
    arguments: str = ""
    separated: frozenset[str] = frozenset()
    case: frozenset[str] = frozenset()

    @property
    def segmenter(self) -> Segmenter:
        """``-c`` scores characters; sclite's words are what white space separates."""
        return "characters" if "-c" in self.arguments.split() else "words"


OPTIONAL = frozenset({"od1-5", "od3-5"})
"""``b (c) d`` against ``b s i e``: sclite substitutes c (cost 4 + 4 + 3 for s, i and e), here c is
passed over and s and i are inserted: three errors both ways, with one substitution less."""

JOINED = frozenset({"alt-6", "od1-2", "od1-4", "od3-2", "od3-4"})
"""The test writes c as U+0122 and d as U+0123, the same letter in upper and lower case."""

CASES = {
    "test1": Case(reference="csrnab.ref", hypothesis="csrnab.hyp"),
    "test1e": Case(reference="csrnab.ref", hypothesis="csrnab.hyp"),
    "test7": Case(
        reference="tests.ref", hypothesis="tests.hyp", arguments="-F -D", separated=OPTIONAL
    ),
    "test7_6": Case(
        reference="tests.ref", hypothesis="tests.hyp", arguments="-F -D", separated=OPTIONAL
    ),
    "test7_r": Case(
        reference="tests.hyp", hypothesis="tests.ref", arguments="-F -D", separated=OPTIONAL
    ),
    "test7_noD": Case(reference="tests.ref", hypothesis="tests.hyp", arguments="-F"),
    "test7_5": Case(
        reference="tests.ref",
        hypothesis="tests.hyp",
        arguments="-c DH",
        separated=frozenset({"g_0", "g_1"}),  # 13 errors here, 14 there
    ),
    "test7-utf8-2bytes": Case(
        reference="tests.ref.utf8-2bytes",
        hypothesis="tests.hyp.utf8-2bytes",
        arguments="-F -D",
        separated=OPTIONAL,
        case=JOINED,
    ),
    "test7-utf8-3bytes": Case(
        reference="tests.ref.utf8-3bytes",
        hypothesis="tests.hyp.utf8-3bytes",
        arguments="-F -D",
        separated=OPTIONAL,
    ),
    "test7-utf8-4bytes": Case(
        reference="tests.ref.utf8-4bytes",
        hypothesis="tests.hyp.utf8-4bytes",
        arguments="-F -D",
        separated=OPTIONAL,
    ),
    "test8": Case(reference="csrnab1.ref", hypothesis="csrnab1.hyp", arguments="-c"),
    "test15_c": Case(reference="test.turkish.ref", hypothesis="test.turkish.hyp"),
    "test15_d": Case(reference="test.ukranian.ref", hypothesis="test.ukranian.hyp"),
    "test17": Case(reference="test.vietnamese.ref.trn", hypothesis="test.vietnamese.hyp.trn"),
}

OTHER = {
    "times of the reference's words (ctm), or only a part of the time (-m), are compared": (
        "test13 test13_D test13_a test13_aD test14_a test14_b test14_c test14_d test14_e"
    ),
    "characters of all scripts but ASCII's, or hyphens, in a timed file": (
        "test9_1 test10 test10_1 test15_b"
    ),
    "aligned by GNU diff, or text without utterances": "test2 test4 test5",
    "a language model or a list weighs the words": "test1b test1c",
    "no counts: piped input, or a report only": "test1a test1d test3b test3c",
    "words are cut by a lexicon": "test7_1 test7_2 test7_2a test7_3 test7_4 test11 test12",
}
"""sclite's other tests by the reason why they are no TRN scoring."""


@dataclass(frozen=True, kw_only=True)
class TimedCase:
    """A test of sclite that scores a CTM file against an STM file, and how its files are coded."""

    reference: str
    hypothesis: str
    encoding: str = "utf-8"
    segmenter: Segmenter = "words"


MISSING = {
    number: TimedCase(
        reference="stm2ctm_missing.ref.stm", hypothesis=f"stm2ctm_missing.hyp-miss{lacks}.ctm"
    )
    for number, lacks in enumerate(
        ("file1", "file1chanA", "file1chanb", "file2", "file2chanA", "file2chanB"), start=3
    )
}
TIMED = {
    "test3": TimedCase(reference="lvc_ref.stm", hypothesis="lvc_hyp.ctm"),
    "test3a": TimedCase(reference="lvc_refe.stm", hypothesis="lvc_hyp.ctm"),
    "test6": TimedCase(reference="mand_ref.stm", hypothesis="mand_hyp.ctm", encoding="gb18030"),
    "test9": TimedCase(
        reference="mand_ref.stm",
        hypothesis="mand_hyp.ctm",
        encoding="gb18030",
        segmenter="characters",
    ),
    "test15_a": TimedCase(reference="test.cantonese.stm", hypothesis="test.cantonese.ctm"),
    **{f"test16_{number}": case for number, case in MISSING.items()},
}


@cache
def expected(name: str) -> dict[str, ErrorCounts]:
    """Return sclite's counts by utterance."""
    document = json.loads((VECTORS / "expected_counts.json").read_text())[name]
    return {
        utterance: ErrorCounts(hits=c, substitutions=s, deletions=d, insertions=i)
        for utterance, c, s, d, i in document["utts"]
    }


@cache
def scored(
    name: str, *, case_sensitive: bool = False
) -> tuple[ScoreResult, dict[str, ErrorCounts]]:
    """Return our result and our counts by utterance."""
    case = CASES[name]
    hyphens = Step(name="hyphens", version="1", apply=lambda text: text.replace("-", ""))
    steps = [hyphens] if "DH" in case.arguments else []
    result = score_files(
        ScoreFile(name="ref", data=(VECTORS / "in" / case.reference).read_bytes()),
        ScoreFile(name="hyp", data=(VECTORS / "in" / case.hypothesis).read_bytes()),
        format_="trn",
        normalizer=Pipeline(name="sclite", steps=steps, digest_of=digest_of),
        segmenter=case.segmenter,
        trn=TrnOptions(
            optional_deletable="-D" in case.arguments,
            fragments="-F" in case.arguments,
            case_sensitive=case_sensitive,
        ),
    )
    ids = [utterance.lower() for utterance in result.ids]
    return result, {utterance: result.by_utterance[row] for row, utterance in enumerate(ids)}


@pytest.mark.parametrize("name", TIMED)
def test_timed_counts_are_those_of_sclite(name: str) -> None:
    """Every segment has sclite's counts; sclite numbers them by speaker."""
    case = TIMED[name]
    reference, hypothesis = (
        ScoreFile(
            name=file, data=(VECTORS / "in" / file).read_bytes().decode(case.encoding).encode()
        )
        for file in (case.reference, case.hypothesis)
    )
    result = score_files(
        reference,
        hypothesis,
        normalizer=Pipeline(name="none", steps=[], digest_of=digest_of),
        segmenter=case.segmenter,
    )
    seen: Counter[str] = Counter()
    ours = {}
    for row, segment in enumerate(result.ids):
        speaker = segment.split(":")[2]
        ours[f"{speaker}-{seen[speaker]:03d}"] = result.by_utterance[row]
        seen[speaker] += 1
    assert ours == expected(name)


def optional_hits(name: str, counts: ErrorCounts) -> int:
    """Return how many optional words the exceptional alignments passed over: at most one."""
    return int(name in OPTIONAL and counts.hits == 2)


def sclite_cost(counts: ErrorCounts, optional: int) -> int:
    """Return what sclite pays: 4 a substitution, 3 another error, 2 an optional word."""
    return 4 * counts.substitutions + 3 * (counts.deletions + counts.insertions) + 2 * optional


@pytest.mark.parametrize("name", CASES)
def test_counts_are_those_of_sclite(name: str) -> None:
    """Every utterance but the named exceptions has sclite's counts, and so have the totals."""
    result, ours = scored(name)
    theirs = expected(name)
    assert ours.keys() == theirs.keys()
    different = {utterance for utterance in theirs if ours[utterance] != theirs[utterance]}
    assert different == CASES[name].separated | CASES[name].case
    assert not result.failures
    change = dict.fromkeys(("hits", "substitutions", "deletions", "insertions"), 0)
    for utterance in different:
        for kind in change:
            change[kind] += getattr(ours[utterance], kind) - getattr(theirs[utterance], kind)
    documented = json.loads((VECTORS / "expected_counts.json").read_text())[name]
    totals = dict(zip(change, documented["totals_C_S_D_I"], strict=True))
    assert {kind: totals[kind] + change[kind] for kind in change} == {
        kind: getattr(result.counts, kind) for kind in change
    }


@pytest.mark.parametrize(
    ("name", "utterance"),
    [(name, utterance) for name, case in CASES.items() for utterance in sorted(case.separated)],
)
def test_where_sclite_differs_its_costs_say_why(name: str, utterance: str) -> None:
    """We never have more errors, and what we found is dearer to sclite, so it passed it by."""
    _, ours = scored(name)
    mine, theirs = ours[utterance], expected(name)[utterance]
    assert (mine.errors, mine.substitutions) < (theirs.errors, theirs.substitutions)
    assert sclite_cost(mine, optional_hits(utterance, mine)) > sclite_cost(theirs, 0)


@pytest.mark.parametrize(
    ("name", "utterance"),
    [(name, utterance) for name, case in CASES.items() for utterance in sorted(case.case)],
)
def test_where_lower_case_joins_letters_the_case_is_the_reason(name: str, utterance: str) -> None:
    """The same texts without lower case have sclite's counts."""
    _, ours = scored(name, case_sensitive=True)
    assert ours[utterance] == expected(name)[utterance]


def test_every_test_of_sclite_is_accounted_for() -> None:
    """A test is reproduced or has a reason why it cannot be one of ours."""
    arguments = json.loads((VECTORS / "test_args.json").read_text())
    named = {name.replace("-utf8-2bytes", "-$utf") for name in CASES if "4b" not in name}
    named |= {"test16_$n" if name.startswith("test16") else name for name in TIMED}
    named = {name for name in named if "3bytes" not in name}
    others = {name for names in OTHER.values() for name in names.split()}
    assert named | others == set(arguments)
    assert not named & others
