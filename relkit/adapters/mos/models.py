"""The model files inside the speechmos package: found, digested and opened without importing it."""

import hashlib
import importlib.util
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.domain.errors import InvalidInput, MissingDependency
from relkit.records.digests import PREFIX

if TYPE_CHECKING:
    import onnxruntime

P835 = "dnsmos_models/sig_bak_ovr.onnx"
P808 = "dnsmos_models/model_v8.onnx"
PLCMOS = "plcmos_models/plcmos_v2.onnx"

MODELS_OF = {
    "dnsmos_sig": P835,
    "dnsmos_bak": P835,
    "dnsmos_ovrl": P835,
    "dnsmos_p808": P808,
    "plcmos": PLCMOS,
}
LIBRARIES_OF = {"pesq": "pesq", "stoi": "pystoi"}
_NEEDED = ("speechmos", "onnxruntime", "soxr")


def require(metrics: Sequence[str]) -> None:
    """Raise MissingDependency where a package that these metrics need is not installed."""
    names = [LIBRARIES_OF[metric] for metric in metrics if metric in LIBRARIES_OF]
    if any(metric in MODELS_OF for metric in metrics):
        names.extend(_NEEDED)
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependency(
            f"the metrics {', '.join(metrics)} need the package {missing[0]}",
            hint="pip install 'relkit[mos]'",
        )


def identities(metrics: Sequence[str]) -> dict[str, str]:
    """Return what makes the scores: model file to SHA-256 digest, library to version."""
    files = dict.fromkeys(MODELS_OF[metric] for metric in metrics if metric in MODELS_OF)
    found = {name: PREFIX + hashlib.sha256(read_model(name)).hexdigest() for name in files}
    libraries = [LIBRARIES_OF[metric] for metric in metrics if metric in LIBRARIES_OF]
    libraries += ["speechmos", "onnxruntime"] if files else []
    return {**found, **{name: metadata.version(name) for name in libraries}}


def read_model(name: str) -> bytes:
    """Return the bytes of a model of speechmos by its path in the package; raises InvalidInput."""
    found = importlib.util.find_spec("speechmos")  # its __init__ is empty, librosa stays unloaded
    folders = [] if found is None else found.submodule_search_locations or []
    for folder in folders:
        path = Path(folder) / name
        if path.is_file():
            return path.read_bytes()
    raise InvalidInput(
        f"speechmos lacks its model {name}",
        hint="install it again: pip install --force-reinstall 'relkit[mos]'",
    )


def open_session(model: bytes) -> "onnxruntime.InferenceSession":
    """Return a session with one thread: processes, not threads, share the cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
