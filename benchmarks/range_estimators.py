"""Which estimator of ranges suits which class of tensors: the demo's UNet, rounded to nearest, on held-out data.

    python benchmarks/range_estimators.py

A column is a class of tensors whose ranges are estimated in the row's way, while all others keep what the kit does:
smallest and largest value times two, and for weights the largest magnitude of a channel. The figures are SQNR in dB
of the QDQ graph against float, over all held-out samples. Percentiles are of all values of a tensor in 16 calibration
samples, at both ends; MSE is the part of the range between smallest and largest value with which rounding and cutting
off together err least on those values. Seeds are the model config's. Takes some minutes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from held_out import outputs
from measured import measured
from onnx import TensorProto, helper

from qnn_sd.config import load_model
from qnn_sd.console import Console
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import load_structure
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize.calibration import evenly_spaced
from qnn_sd.quantize.encodings import Encoding, Encodings, encodings_from_ranges
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.graph.op_rules import SOFTMAX_OPS
from qnn_sd.quantize.qdq_writer import QdqWriter
from qnn_sd.quantize.ranges import RANGE_MARGIN
from qnn_sd.reference import reference_session
from qnn_sd.runner import Feeds

COUNT, AT_A_TIME = 16, 60
Range = tuple[float, float]
Estimator = Callable[[np.ndarray], Range]
KEPT = tuple(1 - step / 40 for step in range(30))


def percentile(share: float) -> Estimator:
    """Between two percentiles, ``share`` of the values inside."""
    return lambda values: (float(np.quantile(values, 1 - share)), float(np.quantile(values, share)))


def least_error(values: np.ndarray) -> Range:
    """The part of the whole range with which 16 bits err least."""
    low, high = float(values.min()), float(values.max())

    def error(kept: float) -> float:
        step = max(kept * (high - low) / 65535, 1e-12)
        inside = np.clip(values, kept * low, kept * high)
        return float(np.square(np.rint(inside / step) * step - values, dtype=np.float64).mean())

    best = min(KEPT, key=error)
    return best * low, best * high


ESTIMATORS: dict[str, tuple[Estimator, float]] = {
    "smallest and largest, times 2": (percentile(1.0), RANGE_MARGIN),
    "smallest and largest": (percentile(1.0), 1.0),
    "percentile 99.999": (percentile(0.99999), 1.0),
    "percentile 99.99": (percentile(0.9999), 1.0),
    "percentile 99.9": (percentile(0.999), 1.0),
    "percentile 99.99, times 2": (percentile(0.9999), RANGE_MARGIN),
    "MSE": (least_error, 1.0),
    "MSE, times 2": (least_error, RANGE_MARGIN),
}


def classes(graph: FloatGraph) -> dict[str, set[str]]:
    """The activations that own a measured range, by what makes them."""
    producers = {name: node for node in graph.model.graph.node for name in node.output}
    found: dict[str, set[str]] = {"layers": set(), "attention": set(), "sums": set(), "others": set()}
    for name in graph.roles.floats:
        node = producers.get(name)
        if (
            graph.roles.encoding_owner(name) != name
            or name in graph.roles.known
            or name in graph.roles.affine_chains
            or node is None
        ):
            continue
        if node.output[0] in graph.roles.layers:
            found["layers"].add(name)
        elif node.op_type in ("MatMul", *SOFTMAX_OPS):
            found["attention"].add(name)
        else:
            found["sums" if node.op_type == "Add" else "others"].add(name)
    return found


def estimated(graph: FloatGraph, samples: list[Feeds], names: list[str]) -> dict[str, dict[str, Range]]:
    """Ranges by estimator and activation."""
    found: dict[str, dict[str, Range]] = {title: {} for title in ESTIMATORS}
    for start in range(0, len(names), AT_A_TIME):
        some = names[start : start + AT_A_TIME]
        model = load_structure(graph.folder)
        del model.graph.output[:]
        model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in some)
        session = reference_session(model, folder=graph.folder, in_order=True)
        seen = [session.run(some, dict(feeds)) for feeds in samples]
        for index, name in enumerate(some):
            values = np.concatenate([each[index].reshape(-1) for each in seen])
            for title, (estimate, margin) in ESTIMATORS.items():
                low, high = estimate(values)
                found[title][name] = margin * low, margin * high
    return found


def mse_weights(graph: FloatGraph, chosen: Encodings) -> Encodings:
    """The same with each channel's scale the one with which its weights err least, for themselves."""
    parameters = dict(chosen.parameters)
    for name, axis in graph.roles.weights.items():
        weight, whole = graph.array(name), chosen.parameters[name]
        others = tuple(index for index in range(weight.ndim) if index != axis)
        best, least = whole.scale.copy(), np.full(len(whole.scale), np.inf)
        for kept in KEPT:
            encoding = Encoding(8, True, (kept * whole.scale).astype(np.float32), 0, axis)
            shape = [-1 if index == axis else 1 for index in range(weight.ndim)]
            found = encoding.quantize(weight) * encoding.scale.reshape(shape)
            error = np.square(found - weight).sum(axis=others)
            better = error < least
            best[better], least[better] = encoding.scale[better], error[better]
        parameters[name] = Encoding(8, True, best, 0, axis)
    return Encodings(chosen.activations, parameters)


def main() -> None:
    pipeline = BuildPipeline(load_model("tiny-sd"), Console())
    known = measured(pipeline, "unet")
    graph, judging = known.graph, list(pipeline.samples(pipeline.held_out(), "unet"))
    expected = outputs(graph.folder, judging)
    widened = {name: (RANGE_MARGIN * low, RANGE_MARGIN * high) for name, (low, high) in known.default_guidance.items()}
    groups = classes(graph)
    names = [name for group in groups.values() for name in group]
    ranges = estimated(graph, evenly_spaced(known.samples, COUNT), names)

    def reached(encodings: Encodings) -> float:
        with tempfile.TemporaryDirectory() as scratch:
            QdqWriter(graph, encodings, Path(scratch)).write()
            return sqnr_db(expected, outputs(Path(scratch), judging))

    def chosen(changed: Mapping[str, Range]) -> Encodings:
        # What is estimated is taken as it is.
        other = {name: ends for name, ends in known.other_guidance.items() if name not in changed}
        return encodings_from_ranges(graph, {**widened, **changed}, 1.0, known.input_ranges, other)

    groups["all"] = set(names)
    print(f"{'':34}" + "".join(f"{f'{title} ({len(group)})':>18}" for title, group in groups.items()))
    for title, found in ranges.items():
        print(f"{title:34}", end="")
        for group in groups.values():
            print(f"{reached(chosen({name: found[name] for name in group})):18.1f}", end="", flush=True)
        print()
    print(f"weights: largest magnitude {reached(chosen({})):.1f}, MSE {reached(mse_weights(graph, chosen({}))):.1f}")


if __name__ == "__main__":
    main()
