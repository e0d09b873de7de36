"""QDQ graphs without calibration, and of graphs that other exporters wrote."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from diffusers import UNet2DConditionModel
from graphs import run
from onnx import TensorProto, helper, numpy_helper, parser

from qnn_sd import qnn_provider
from qnn_sd.config import load_profile
from qnn_sd.errors import QuantizeError
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE, load_structure
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize import quantize_component, quantize_with_stand_ins
from qnn_sd.quantize.ranges import stand_in_ranges

# As tracing exporters write graphs: Constant nodes, shape arithmetic, several outputs to a node,
# one constant for a bias and a norm, settings as float constants, weights of three axes.
TRACED = """
<ir_version: 10, opset_import: ["" : 21]>
traced (float[1,4,8,8] x, int64[1] t) => (float[1,16,4] y, int64[4] size) {
    size = Shape(x)
    zero = Constant<value_float: float = 0.0>()
    one = Constant<value_float: float = 1.0>()
    six = Constant<value_float: float = 6.0>()
    power = Constant<value: tensor = float {2.0}>()
    convolved = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, weight, shared)
    normed = InstanceNormalization<epsilon: float = 0.00001>(convolved, shared, shared)
    erf = Erf(normed)
    capped = Clip(normed, zero, six)
    ends = Constant<value_ints: ints = [0, 0, 1, 1, 0, 0, 1, 1]>()
    padded = Pad(capped, ends, zero)
    from = Constant<value_ints: ints = [1, 1]>()
    to = Constant<value_ints: ints = [9, 9]>()
    pixels = Constant<value_ints: ints = [2, 3]>()
    cut = Slice(padded, from, to, pixels)
    powered = Pow(cut, power)
    pooled = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(powered)
    first, second = Split<axis: int = 1, num_outputs: int = 2>(pooled)
    both = Sub(first, second)
    stacked = Concat<axis: int = 1>(both, second)
    tokens = Constant<value_ints: ints = [1, 4, 16]>()
    rows = Reshape(stacked, tokens)
    turned = Transpose<perm = [0, 2, 1]>(rows)
    negated = Neg(turned)
    positive = Greater(negated, zero)
    chosen = Where(positive, negated, one)
    product = MatMul(chosen, batched)
    scaled = Mul(product, shared)
    added = Add(scaled, shared)
    steps = Range(zero, six4, one)
    time = Cast<to: int = 1>(t)
    angles = Mul(time, steps)
    cosines = Cos(angles)
    lengthwise = Constant<value_ints: ints = [0]>()
    wide = Unsqueeze(cosines, lengthwise)
    narrow = Squeeze(wide, lengthwise)
    again = Identity(narrow)
    spread = Constant<value_ints: ints = [1, 16, 4]>()
    expanded = Expand(again, spread)
    timed = Add(added, expanded)
    looked_up = Gather(table, t)
    summed = Add(timed, looked_up)
    averaged = ReduceMean<keepdims: int = 0>(erf, pixels)
    flat = Flatten(averaged)
    gained = Mul(summed, flat)
    scores = MatMul(gained, rows)
    softmax_outputs = Softmax(scores)
    y = MatMul(softmax_outputs, gained)
}
"""


def save_traced(folder: Path, text: str = TRACED) -> Path:
    """The graph above with constants; every line of it computes something that reaches an output."""
    random = np.random.default_rng(3)
    model = parser.parse_model(text)
    constants = {
        "weight": random.standard_normal((4, 4, 3, 3)) * 0.3,
        "shared": np.array([0.5, -0.25, 1.0, 0.75]),
        "batched": random.standard_normal((1, 4, 4)) * 0.5,
        "table": random.standard_normal((10, 4)),
        "six4": np.array(4.0),
    }
    for name, array in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    onnx.checker.check_model(model, full_check=True)
    folder.mkdir()
    onnx.save_model(model, folder / MODEL_FILE)
    return folder


def traced_feeds(random: np.random.Generator) -> dict[str, np.ndarray]:
    return {"x": random.standard_normal((1, 4, 8, 8), np.float32), "t": np.array([3])}


def calibrated(source: Path, samples: list[dict[str, np.ndarray]], folder: Path) -> Path:
    folder.mkdir()
    quantize_component(source, samples, folder)
    onnx.checker.check_model(folder / MODEL_FILE, full_check=True)
    return folder


def test_a_traced_graph_keeps_what_it_computes(tmp_path: Path, rng: np.random.Generator) -> None:
    samples = [traced_feeds(rng) for _ in range(3)]
    source = save_traced(tmp_path / "float")
    qdq = calibrated(source, samples, tmp_path / "qdq")
    for sample in samples:
        assert sqnr_db(run(source, sample), run(qdq, sample)) >= 30


def test_a_traced_graph_goes_to_the_htp_whole(tmp_path: Path, rng: np.random.Generator) -> None:
    """But for Erf, which the HTP doesn't take at all."""
    sample = traced_feeds(rng)
    source = save_traced(tmp_path / "float", TRACED.replace("Erf", "Tanh"))
    qdq = calibrated(source, [sample], tmp_path / "qdq")
    profile = load_profile("sm8650")
    session = qnn_provider.session(qdq / MODEL_FILE, qnn_provider.htp_options(profile.soc_model, profile.htp_arch))
    assert sqnr_db(run(qdq, sample), session.run(None, sample)[0]) >= 50


def test_a_network_that_torch_traced(tmp_path: Path) -> None:
    """diffusers' UNet as torch's tracing exporter writes it, nothing folded: opset 20, Identity of shared weights."""
    torch.manual_seed(0)
    blocks = {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
    }
    unet = UNet2DConditionModel(
        sample_size=16, cross_attention_dim=32, attention_head_dim=2, norm_num_groups=8, **blocks
    )
    unet.eval().requires_grad_(False)
    inputs = {"x": torch.randn(1, 4, 16, 16), "t": torch.tensor([500.0]), "text": torch.randn(1, 7, 32)}
    (source := tmp_path / "float").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            unet,
            (*inputs.values(), {"return_dict": False}),
            str(source / MODEL_FILE),
            dynamo=False,
            opset_version=20,
            input_names=list(inputs),
            output_names=["y"],
        )
    feeds = {name: tensor.numpy() for name, tensor in inputs.items()}
    qdq = calibrated(source, [feeds], tmp_path / "qdq")
    assert sqnr_db(run(source, feeds), run(qdq, feeds)) >= 30
    (rough := tmp_path / "stand_in").mkdir()
    quantize_with_stand_ins(source, rough)
    assert run(rough, feeds).shape == (1, 4, 16, 16)


def test_moved_tensors_share_one_encoding(tmp_path: Path, rng: np.random.Generator) -> None:
    qdq = calibrated(save_traced(tmp_path / "float"), [traced_feeds(rng)], tmp_path / "qdq")
    scale = {tensor.name: numpy_helper.to_array(tensor) for tensor in load_structure(qdq).graph.initializer}
    for moved, owner in {
        "padded": "capped",
        "cut": "capped",
        "first": "pooled",
        "second": "pooled",
        "turned": "stacked",
        "again": "cosines",
        "flat": "averaged",
    }.items():
        assert scale[f"{moved}.dq.scale"] == scale[f"{owner}.dq.scale"]
    assert scale["looked_up.dq.scale"] == scale["table.scale"]


def test_a_constant_in_two_roles_has_both_encodings(tmp_path: Path, rng: np.random.Generator) -> None:
    """Exporters store equal constants once: here a conv's bias is also a norm's parameter and a factor."""
    qdq = calibrated(save_traced(tmp_path / "float"), [traced_feeds(rng)], tmp_path / "qdq")
    model = load_structure(qdq)
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    reads = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    nodes = {node.op_type: node for node in model.graph.node if node.op_type in ("Conv", "InstanceNormalization")}
    assert stored[reads[nodes["Conv"].input[2]]] == TensorProto.INT32
    assert stored[reads[nodes["InstanceNormalization"].input[1]]] == TensorProto.UINT16


@pytest.mark.parametrize("component", ["text_encoder", "unet", "vae_decoder"])
def test_stand_ins_differ_wherever_measured_ranges_do(component: str, pipeline: BuildPipeline, tmp_path: Path) -> None:
    """Equal neighbours would let the compiler leave work out."""
    source = pipeline.export(component).folder
    quantize_with_stand_ins(source, tmp_path)
    stand_in, measured = scales_by_node(tmp_path), scales_by_node(pipeline.quantize(component).folder)
    assert stand_in.keys() == measured.keys()
    for node, (before, after) in stand_in.items():
        # Measured ranges may be equal by chance (what Relu passes on whole); never the other way round.
        if before == after:
            assert measured[node][0] == measured[node][1], node
        else:
            assert abs(before - after) > 0.009 * before, node


def scales_by_node(folder: Path) -> dict[str, tuple[float, float]]:
    """Scale of a node's first input and of its output, for nodes between two activations."""
    model = load_structure(folder)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    found = {}
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] not in made_by:
            continue
        maker = made_by[node.input[0]]
        before = made_by.get(maker.input[0])
        if before is not None and before.op_type == "DequantizeLinear" and maker.op_type != "DequantizeLinear":
            scales = [numpy_helper.to_array(constants[name]) for name in (before.input[1], node.input[1])]
            found[node.name] = (float(scales[0]), float(scales[1]))
    assert len(found) > 50
    return found


def test_a_wide_concat_finds_a_range_of_its_own() -> None:
    names = [f"x{index}" for index in range(300)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in [*names, "y"]]
    node = helper.make_node("Concat", names, ["y"], axis=1)
    model = helper.make_model(helper.make_graph([node], "wide", values[:-1], values[-1:]))
    widths = [high - low for low, high in stand_in_ranges(model).values()]
    assert len(set(widths)) == len(names) + 1


def test_stand_ins_are_the_same_every_time_and_run(pipeline: BuildPipeline, tmp_path: Path) -> None:
    source = pipeline.export("text_encoder").folder
    model = load_structure(source)
    assert stand_in_ranges(model) == stand_in_ranges(model)
    quantize_with_stand_ins(source, tmp_path)
    sample = next(iter(pipeline.samples(pipeline.calibration(), "text_encoder")))
    assert np.isfinite(run(tmp_path, sample)).all()


def one_node(folder: Path, op: str, kind: int, opset: int = 21) -> Path:
    values = [helper.make_tensor_value_info(name, kind, [1, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], name="n")], "g", values[:1], values[1:])
    folder.mkdir()
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]), folder / MODEL_FILE)
    return folder


def test_what_has_no_rule_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match="Selu"):
        quantize_with_stand_ins(one_node(tmp_path / "a", "Selu", TensorProto.FLOAT), tmp_path)
    with pytest.raises(QuantizeError, match="x is float16"):
        quantize_with_stand_ins(one_node(tmp_path / "b", "Relu", TensorProto.FLOAT16), tmp_path)
    with pytest.raises(QuantizeError, match="opset 17"):
        quantize_with_stand_ins(one_node(tmp_path / "c", "Relu", TensorProto.FLOAT, 17), tmp_path)
    assert not (tmp_path / MODEL_FILE).exists()
