"""What an import writes to start from: read back, and fitting to the data."""

from dataclasses import replace

import pytest
import yaml

from relkit.datasets.types import Dataset, DatasetSettings
from relkit.gate.starter import StarterSummary, starter_files, starter_text
from tests.builders import utterance, version


def dataset(name: str = "calls", lang: str | None = "en", speakers: int = 12) -> Dataset:
    """Return a dataset of two utterances a speaker, half of the speakers with each accent."""
    spoken = {} if lang is None else {"lang": lang}
    items = [
        utterance(
            f"u{i:03d}",
            attributes={
                "speaker": f"s{i // 2}",
                "accent": "plain" if i // 2 % 2 else "broad",
                "line": "fixed" if i < 4 else "mobile",
                **spoken,
            },
        )
        for i in range(2 * speakers)
    ]
    return Dataset(
        version=replace(version(), name=name),
        root="/",
        settings=DatasetSettings(name=name, cluster="speaker", slices=("accent", "line")),
        utterances=tuple(items),
    )


def test_columns_with_enough_speakers_get_a_rule() -> None:
    """Five speakers for each value: two on the fixed line are too few to be tested."""
    files = starter_files(dataset())
    rules = {rule["id"]: rule for rule in yaml.safe_load(files.policy_text)["rules"]}
    assert rules["wer-1"]["slice"] == "accent=*"
    assert set(rules) == {"wer-overall", "wer-limit", "wer-1", "runaways", "failures"}
    assert files.untested == ("line",)
    assert 0.2 < rules["failures"]["max"] < 0.5  # 24 utterances: one may still mean so much
    few = starter_files(dataset(speakers=6))
    assert few.untested == ("accent", "line")
    assert "no_regression" not in few.policy_text


@pytest.mark.parametrize(
    ("lang", "system", "normalizer"),
    [
        ("en", "model: tiny.en, language: en", "english"),
        ("en-US", "model: tiny.en, language: en", "english"),
        ("cy", "model: tiny, language: cy", "basic"),
        ("pt_BR", "model: tiny, language: pt", "basic"),
        (None, "model: tiny.en, language: en", "english"),
        ("none of them", "model: tiny.en, language: en", "english"),
    ],
)
def test_the_language_is_that_of_the_data(lang: str | None, system: str, normalizer: str) -> None:
    """English is taken where nothing says so, and the file says that it is a guess."""
    text = starter_files(dataset(lang=lang)).suite_text
    assert system in text
    assert f"normalizer: {normalizer}\n" in text
    assert ("so English is taken" in text) == (lang in {None, "none of them"})


@pytest.mark.parametrize("name", ["no", "1.10", "Calls_2", "a" * 100, "true", "12"])
def test_any_name_of_a_dataset_makes_files(name: str) -> None:
    """A name that YAML would read as something else is quoted, and a policy's is in lower case."""
    files = starter_files(dataset(name))
    assert files.suite == yaml.safe_load(files.suite_text)["name"] == name
    assert files.policy == name.lower()[:64]


@pytest.mark.parametrize(
    ("written", "margin", "words"),
    [
        (("eval/suites/a.yaml", "gates/a.yaml"), 0.053, "worse by 5.3 points at most"),
        (("eval/suites/a.yaml", "gates/a.yaml"), None, "no margin can be decided"),
        (("eval/suites/a.yaml",), None, "wrote eval/suites/a.yaml"),
        ((), None, "are there already"),
    ],
)
def test_what_was_written_is_said(
    written: tuple[str, ...], margin: float | None, words: str
) -> None:
    """With what the policy asks for, or that the data is too small to ask for anything."""
    summary = StarterSummary(
        suite="a", policy="a", written=written, margin=margin, untested=("accent",)
    )
    assert words in starter_text(summary)
