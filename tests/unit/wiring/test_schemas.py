"""The JSON Schemas that ship with the package."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from relkit.wiring.schemas import schemas

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "registry" / "schema"


@pytest.mark.parametrize(("name", "text"), list(schemas()))
def test_schema_on_disk_is_the_one_of_the_records(name: str, text: str) -> None:
    """A schema file that is out of date would mislead an editor (mend: make schemas)."""
    assert (SCHEMA / name).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("usual", "pattern"),
    [
        ("suite", "eval/suites/*.yaml"),
        ("gate", "gates/*.yaml"),
        ("normalizer", "eval/normalizers/*.yaml"),
        ("dataset", "datasets/*/dataset.yaml"),
        ("workspace", "relkit.yaml"),
    ],
)
def test_every_file_of_the_workspace_fits_its_schema(usual: str, pattern: str) -> None:
    """The reference workspace is the first user of its schemas; each file may name its own."""
    paths = sorted(ROOT.glob(pattern))
    assert paths
    for path in paths:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        kind = document.get("schema", usual).removeprefix("relkit.").removesuffix("/v1")
        schema = json.loads((SCHEMA / f"{kind}.json").read_text(encoding="utf-8"))
        jsonschema.validate(document, schema)


def test_a_misspelt_key_does_not_fit() -> None:
    """A schema that accepts anything would be no help."""
    schema = json.loads((SCHEMA / "suite.json").read_text(encoding="utf-8"))
    suite = yaml.safe_load((ROOT / "eval/suites/demo.yaml").read_text(encoding="utf-8"))
    suite["slicse"] = suite.pop("slices")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(suite, schema)
