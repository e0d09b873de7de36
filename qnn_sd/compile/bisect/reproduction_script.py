"""Compiles model.onnx with onnxruntime-qnn, runs it on the HTP emulator, and compares it with ONNX Runtime's CPU.

Needs Linux on x86-64, numpy, onnxruntime and onnxruntime-qnn: versions in README.md.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np


def seeded(case: dict[str, Any]) -> dict[str, Any]:
    """The inputs that aren't stored: normal values, or whole numbers."""
    rng: Any = np.random.default_rng(case["seed"])
    feeds = {}
    for name, each in case["inputs"].items():
        whole = "below" in each
        values = rng.integers(0, each["below"], each["shape"]) if whole else rng.normal(*each["normal"], each["shape"])
        feeds[name] = np.asarray(values).astype(each["type"])
    return feeds


def main(here: Path) -> None:
    """Prints the SQNR of each output."""
    import onnxruntime as ort  # noqa: PLC0415
    import onnxruntime_qnn as qnn  # noqa: PLC0415

    case, model = json.loads((here / "case.json").read_text()), str(here / "model.onnx")
    feeds = dict(np.load(here / "inputs.npz")) if (here / "inputs.npz").exists() else seeded(case)
    plain = ort.SessionOptions()
    plain.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    expected = ort.InferenceSession(model, plain, providers=["CPUExecutionProvider"]).run(None, feeds)
    ort.register_execution_provider_library("QNNExecutionProvider", qnn.get_library_path())
    devices = [each for each in ort.get_ep_devices() if each.ep_name == "QNNExecutionProvider"]
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    options.add_provider_for_devices(devices[:1], {"backend_path": qnn.get_qnn_htp_path(), **case["options"]})
    found = ort.InferenceSession(model, options, enable_fallback=0).run(None, feeds)
    for number, (cpu, htp) in enumerate(zip(expected, found, strict=True)):
        error, signal = (np.square(each, dtype=np.float64).sum() for each in (htp - cpu, cpu))
        print(f"output {number}: {10 * np.log10(signal / max(error, 1e-300)):.1f} dB SQNR")


if __name__ == "__main__":
    main(Path(__file__).resolve().parent)
