"""Keys and values: which of them get 8 bits, with which ranges, and which keep 16."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from graphs import run

from qnn_sd.export.blocks.attention import AttentionWeights, self_attention, token_attention
from qnn_sd.export.blocks.linear import Weights
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import load_structure, read_array
from qnn_sd.quantize import operand_selection, quantize_component
from qnn_sd.quantize.encodings import Encodings, encodings_from_ranges
from qnn_sd.quantize.encodings.attention_operands import (
    INT8_RANGE_MARGIN,
    int8_candidates,
    with_int8_operands,
)
from qnn_sd.quantize.graph import FloatGraph
from qnn_sd.quantize.operand_selection import MAX_LOSS_DB, select_int8_operands
from qnn_sd.quantize.qdq_writer import QdqWriter
from qnn_sd.quantize.ranges import Ranges, measure

Feeds = dict[str, np.ndarray]
HEADS = 2


def layer_of(outlier: float) -> AttentionWeights:
    """Of the first head's keys one channel is that many times as large, and its queries as much smaller, so that the
    scores are the same."""
    layer = AttentionWeights.read(RandomTensors(1), "attn", 32, 32, HEADS)
    factor = np.ones((32, 1), np.float32)
    factor[0] = outlier
    return AttentionWeights(
        Weights(layer.query.weight / factor), Weights(layer.key.weight * factor), layer.value, layer.out
    )


def attention(folder: Path, side: int = 12, outlier: float = 1.0) -> Path:
    """Self-attention of an image of 32 channels."""
    folder.mkdir()
    with Graph("test", folder) as g:
        g.output(self_attention(g, "attn", layer_of(outlier), HEADS, g.input("x", (1, 32, side, side))), "y")
    return folder


def feeds(seed: int, side: int = 12) -> Feeds:
    return {"x": np.random.default_rng(seed).standard_normal((1, 32, side, side), np.float32)}


def prepared(folder: Path) -> tuple[FloatGraph, Encodings, Ranges]:
    graph = FloatGraph(folder)
    ranges = measure(folder, [feeds(1)], lambda: None)
    return graph, encodings_from_ranges(graph, ranges), ranges


def test_keys_and_values_are_candidates_where_there_are_many(tmp_path: Path) -> None:
    graph = FloatGraph(attention(tmp_path / "many"))
    made_by = {node.output[0]: node.op_type for node in graph.model.graph.node}
    names = int8_candidates(graph)
    assert len(names) == 2 * HEADS
    assert [made_by[name] for name in names] == ["Transpose", "Reshape"] * HEADS  # K transposed, V
    # 121 pixels are no more than 128; neither is a head's width mistaken for keys.
    assert int8_candidates(FloatGraph(attention(tmp_path / "few", side=11))) == ()


def test_a_prompt_of_77_tokens_keeps_16_bits(tmp_path: Path) -> None:
    with Graph("test", tmp_path) as g:
        layer = AttentionWeights.read(RandomTensors(1), "attn", 512, 512, HEADS)
        g.output(token_attention(g, "attn", layer, HEADS, g.input("x", (1, 77, 512))), "y")
    assert int8_candidates(FloatGraph(tmp_path)) == ()


def test_each_int8_operand_has_the_range_that_was_met(tmp_path: Path) -> None:
    source, qdq = attention(tmp_path / "float"), tmp_path / "qdq"
    qdq.mkdir()
    quantize_component(source, [feeds(1)], qdq, int8_operands=True)
    graph, _, ranges = prepared(source)
    model = load_structure(qdq)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for name in int8_candidates(graph):
        zero, scale = (read_array(constants[f"{name}.int8.{part}"], qdq) for part in ("zero_point", "scale"))
        assert (zero.dtype, int(zero)) == (np.int8, 0)
        reach = max(map(abs, ranges[graph.roles.encoding_owner(name)]))
        assert float(scale) * 127 == pytest.approx(INT8_RANGE_MARGIN * reach, rel=1e-5)


def test_other_guidance_samples_are_covered_and_the_16_bit_range_is_never_passed(tmp_path: Path) -> None:
    graph, chosen, ranges = prepared(attention(tmp_path / "float"))
    name = int8_candidates(graph)[0]
    owner = graph.roles.encoding_owner(name)
    reach = max(map(abs, ranges[owner]))
    for other, expected in ((1.5 * reach, 1.5 * reach), (9 * reach, chosen.activations[name].range()[1])):
        found = with_int8_operands(graph, chosen, ranges, {owner: (-other, 0.0)}).operands[name]
        assert found.range()[1] == pytest.approx(expected, rel=1e-3)


def test_all_are_int8_where_that_loses_little(tmp_path: Path) -> None:
    graph, chosen, ranges = prepared(attention(tmp_path / "float"))
    runs: list[int] = []
    every = with_int8_operands(graph, chosen, ranges)
    found = select_int8_operands(graph, every, {}, [feeds(2), feeds(3)], tmp_path, runs.append)
    assert runs == [6] * 6, "progress: each of two samples, float, with 16 bits and with 8"
    assert found.metadata["int8_operands"] == 2 * HEADS
    assert found.metadata["int16_operands"] == 0
    assert found.metadata["loss_db"] <= MAX_LOSS_DB


def test_an_operand_that_int8_does_not_suit_keeps_16_bits(tmp_path: Path) -> None:
    """A channel 300 times the others' size leaves those no steps."""
    source = attention(tmp_path / "float", outlier=300)
    graph, chosen, ranges = prepared(source)
    every, held_out = with_int8_operands(graph, chosen, ranges), [feeds(2), feeds(3)]

    def db(encodings: Encodings, folder: Path) -> float:
        folder.mkdir()
        QdqWriter(graph, encodings, folder).write()
        pairs = [(run(source, each), run(folder, each)) for each in held_out]
        return sqnr_db(*(np.array(side) for side in zip(*pairs, strict=True)))

    wide = db(chosen, tmp_path / "wide")
    assert db(every, tmp_path / "every") < wide - MAX_LOSS_DB, "the fault does no harm"
    found = select_int8_operands(graph, every, {}, held_out, tmp_path)
    assert int8_candidates(graph)[0] not in found.encodings.operands
    assert 0 < found.metadata["int8_operands"] < 2 * HEADS
    assert found.metadata["int8_operands"] + found.metadata["int16_operands"] == 2 * HEADS
    assert db(found.encodings, tmp_path / "found") >= wide - MAX_LOSS_DB


@pytest.mark.parametrize("outputs", [("plain",), ("plain", "outlier"), ("outlier", "plain")])
def test_every_output_is_judged(outputs: tuple[str, ...], tmp_path: Path) -> None:
    """A second output, a thousand times as small, must not lose more than the first may."""
    (source := tmp_path / "float").mkdir()
    with Graph("test", source) as g:
        x = g.input("x", (1, 32, 12, 12))
        for name in outputs:
            y = self_attention(g, f"{name}_attn", layer_of(300.0 if name == "outlier" else 1.0), HEADS, x)
            small = g.constant(f"{name}_small", np.full(1, 1e-3 if name == "outlier" else 1.0, np.float32))
            g.output(g.node("Mul", [y, small], y.shape), name)
    graph, chosen, ranges = prepared(source)
    every = with_int8_operands(graph, chosen, ranges)
    assert len(every.operands) == 2 * HEADS * len(outputs)
    found = select_int8_operands(graph, every, {}, [feeds(2), feeds(3)], tmp_path)
    kept = [name for name in every.operands if name not in found.encodings.operands]
    assert bool(kept) == ("outlier" in outputs)
    assert found.metadata["loss_db"] <= MAX_LOSS_DB


def test_a_loss_that_is_no_number_gives_no_operand_8_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operand_selection, "sqnr_db", lambda _expected, _found: math.nan)
    graph, chosen, ranges = prepared(attention(tmp_path / "float"))
    found = select_int8_operands(graph, with_int8_operands(graph, chosen, ranges), {}, [feeds(2)], tmp_path)
    assert found.metadata["int8_operands"] == 0


def test_nothing_is_int8_that_held_out_data_did_not_judge(tmp_path: Path) -> None:
    """As with ``--rounding nearest``: an outlier would cost tens of dB, and nobody would know."""
    source, qdq = attention(tmp_path / "float", outlier=300), tmp_path / "qdq"
    qdq.mkdir()
    quantize_component(source, [feeds(1)], qdq)
    assert not any(".int8." in tensor.name for tensor in load_structure(qdq).graph.initializer)
    assert sqnr_db(run(source, feeds(2)), run(qdq, feeds(2))) > 35


@pytest.mark.parametrize("second", ["table", "vector"])
def test_products_with_tables_and_vectors_are_no_candidates(second: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    with Graph("test", tmp_path) as g:
        x = g.input("x", (1, 4, 300) if second == "vector" else (1, 4, 8))
        if second == "table":
            table = g.constant("table", rng.standard_normal((300, 8), np.float32))
            other = g.node("Transpose", [table], (8, 300), perm=[1, 0])
            g.output(g.node("MatMul", [x, other], (1, 4, 300)), "y")
        else:
            softmax_outputs = g.node("Softmax", [x], x.shape, axis=-1)
            g.output(g.node("MatMul", [softmax_outputs, g.input("v", (300,))], (1, 4)), "y")
    assert int8_candidates(FloatGraph(tmp_path)) == ()
