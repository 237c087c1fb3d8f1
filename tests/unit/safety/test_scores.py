"""Score files of ASVspoof: every layout they have, and what is refused with its line."""

import numpy as np
import pytest

from relkit.core.errors import InvalidInput
from relkit.safety.score_files import parse_keys, parse_scores
from relkit.safety.scores import Trial, imported_scores, labelled
from relkit.statistics.types import DetectionCost

KEY = """\
LA_0009 LA_E_1 alaw ita_tx A07 spoof notrim eval
LA_0009 LA_E_2 alaw ita_tx bonafide bonafide notrim eval
LA_0012 LA_E_3 none loc_tx - bonafide notrim eval
LA_0012 LA_E_4 none loc_tx A18 spoof notrim eval
"""
SCORES = "LA_E_1 -1.5\nLA_E_2 2.5\nLA_E_3 0.5\nLA_E_4 -0.25\n"


def trials(scores: str, key: str | None = KEY) -> tuple[Trial, ...]:
    """Trials of both files."""
    keys = None if key is None else parse_keys(key, source="key.txt")
    parsed = parse_scores(scores, source="scores.txt")
    return labelled(parsed, keys, source="scores.txt", key_source="key.txt")


@pytest.mark.parametrize(
    ("scores", "key"),
    [
        (SCORES, KEY),
        (SCORES, "# speaker trial\n" + KEY.replace(" ", "\t")),
        ("filename\tcm-score\n" + SCORES.replace(" ", "\t"), KEY),
        (
            "spk\tfilename\tcm-score\tasv-score\tsasv-score\n"
            + "".join(
                f"S\t{line.split()[0]}\t{line.split()[1]}\t9\t9\n" for line in SCORES.splitlines()
            ),
            KEY,
        ),
        (
            SCORES,
            (
                "spk filename cm-label asv-label\n"
                "a LA_E_1 spoof spoof\na LA_E_2 bonafide target\n"
                "b LA_E_3 bonafide nontarget\nb LA_E_4 spoof spoof\n"
            ),
        ),
        (
            (
                "LA_E_1 A07 spoof -1.5\nLA_E_2 - bonafide 2.5\n"
                "LA_E_3 - bonafide 0.5\nLA_E_4 A18 spoof -0.25\n"
            ),
            KEY,
        ),
        (
            (
                "a LA_E_1 -1.5 spoof\na LA_E_2 2.5 bonafide\n"
                "b LA_E_3 0.5 bonafide\nb LA_E_4 -0.25 spoof\n"
            ),
            None,
        ),
        (
            SCORES,
            (
                "a LA_E_1 F - - - AC3 A05 spoof -\na LA_E_2 F - - - - bonafide bonafide -\n"
                "b LA_E_3 M - - - - bonafide bonafide -\nb LA_E_4 M - - - AC1 A01 spoof -\n"
            ),
        ),
    ],
)
def test_every_layout_gives_the_same_trials(scores: str, key: str | None) -> None:
    """2019, 2021 and both packages of ASVspoof 5, with keys of their own or a protocol."""
    read = trials(scores, key)
    assert [(item.trial, item.spoofed, item.score) for item in read] == [
        ("LA_E_1", True, -1.5),
        ("LA_E_2", False, 2.5),
        ("LA_E_3", False, 0.5),
        ("LA_E_4", True, -0.25),
    ]
    assert len({item.speaker for item in read}) == 2


def test_trial_without_a_score_was_not_judged() -> None:
    """A trial of the key that has no score lowers the coverage, and is in no rate."""
    results = imported_scores(trials(SCORES.replace("LA_E_4 -0.25\n", "")), DetectionCost())
    assert results.unjudged == {"without a score": 1}
    assert [answer.trial is None for answer in results.answers] == [False, False, False, True]
    assert results.columns == ("attack",)
    assert results.digest == imported_scores(trials(SCORES), DetectionCost()).digest


def test_speaker_is_the_cluster_and_rows_add_up_to_the_metrics() -> None:
    """Separable scores have no error."""
    results = imported_scores(trials(SCORES), DetectionCost())
    assert {answer.cluster for answer in results.answers} == {"LA_0009", "LA_0012"}
    costs = [answer.trial for answer in results.answers if answer.trial is not None]
    assert sum(cost.eer_errors + cost.dcf_cost for cost in costs) == 0
    assert sum(cost.eer_weight for cost in costs) == pytest.approx(4)
    assert "costs 1 and 10" in results.scorer


def test_reversed_scores_are_said_to_be_likely() -> None:
    """A detector that is worse than a coin has the opposite sign more often than not."""
    rng = np.random.default_rng(1)
    scores = "".join(f"t{i} {rng.normal(2 * (i % 2)):.4f}\n" for i in range(40))
    key = "".join(f"s{i % 8} t{i} {'spoof' if i % 2 else 'bonafide'}\n" for i in range(40))
    notes = imported_scores(trials(scores, key), DetectionCost()).notes
    assert "a lower score may be meant to be bona fide" in notes[-1]


@pytest.mark.parametrize(
    ("scores", "key", "message"),
    [
        (SCORES + "LA_E_2 1\n", KEY, 'scores.txt, line 5: "LA_E_2" stands in line 2 already'),
        (SCORES, KEY + "a LA_E_4 - - A01 spoof\n", 'key.txt, line 5: "LA_E_4" stands in line 4'),
        (SCORES + "LA_E_9 1\n", KEY, 'scores.txt, line 5: "LA_E_9" is not in key.txt'),
        (SCORES.replace("2.5", "nan"), KEY, "scores.txt, line 2: the score is no finite number"),
        (SCORES.replace("2.5", "inf"), KEY, "scores.txt, line 2: the score is no finite number"),
        (SCORES.replace("2.5", "high"), KEY, "scores.txt, line 2: the score is no finite"),
        (SCORES, KEY.replace("spoof", "bonafide").replace("A07", "-"), "no score of a spoof trial"),
        ("LA_E_1 1\nLA_E_4 2\n", KEY, "scores.txt: holds no score of a bonafide trial"),
        (SCORES, None, "scores.txt, line 1: says neither bonafide nor spoof"),
        (SCORES, "filename cm-label\nLA_E_1 spoof\n", '"LA_E_2" is not in key.txt'),
        ("LA_E_1 1\n", "filename cm-label\nLA_E_1 spoof\n", "key.txt, line 2: names no speaker"),
        (SCORES, "a LA_E_1 - -\n", "key.txt, line 1: is no line of a key"),
        (SCORES, "filename cm-label spk\nLA_E_1 fake a\n", "key.txt, line 2: the label is neither"),
        ("filename cm-score\nLA_E_1\n", KEY, "scores.txt, line 2: 1 columns where the header has"),
        ("a b c d e\n", KEY, "scores.txt, line 1: 5 columns that no score file"),
        ("filename spk\nLA_E_1 a\n", KEY, "scores.txt, line 2: has no score"),
        ("", KEY, "scores.txt: holds no trial"),
        (
            "LA_E_1 A07 bonafide 1\n",
            KEY,
            "scores.txt, line 1: its label is not that of the key",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused_with_its_line(
    scores: str, key: str | None, message: str
) -> None:
    """One class, no number, an id twice, and an id without a key."""
    with pytest.raises(InvalidInput) as caught:
        trials(scores, key)
    assert message in caught.value.message
