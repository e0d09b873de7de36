"""What the cost instrument says of small graphs, against what can be counted by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import SMALL_UNET, run

from qnn_sd.compile import compile_component
from qnn_sd.compile.blocks import QdqGraph, block_name, level_name
from qnn_sd.compile.cost import Chip, Cost, measure, measure_between, measure_bound, measure_parts
from qnn_sd.compile.traffic import TrafficReader
from qnn_sd.compile.traffic_bound import traffic_bound
from qnn_sd.config import load_profile
from qnn_sd.errors import CompileError, SettingError
from qnn_sd.export import TEXT_ENCODER, UNET, GraphSize, write_graph
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.blocks.norm import affine_of, group_norm
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.metrics import sqnr_db
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.quantize import quantize_with_stand_ins
from qnn_sd.reference import reference_session

PROFILE = load_profile("sm8650")
CHIP = Chip(PROFILE.soc_model, PROFILE.htp_arch, PROFILE.vtcm_mb)


def small_unet(folder: Path) -> Path:
    """A QDQ UNet of two levels with stand-in encodings."""
    source, qdq = folder / "float", folder / "qdq"
    source.mkdir(parents=True)
    qdq.mkdir()
    write_graph(UNET, SMALL_UNET, RandomTensors(3), GraphSize(16, 16, 77), source)
    quantize_with_stand_ins(source, qdq)
    return qdq


def norm_conv(folder: Path, side: int, channels: int) -> Path:
    """A QDQ graph of conv, GroupNorm, SiLU, conv with stand-in encodings."""
    source, qdq = folder / "float", folder / "qdq"
    source.mkdir(parents=True)
    qdq.mkdir()
    weights = RandomTensors(1)
    with Graph("test", source) as g:
        x = conv(g, weights, "first", g.input("x", (1, channels, side, side)), channels)
        x = group_norm(g, "norm", x, affine_of(weights, "norm", channels), 16, 1e-5, "silu")
        g.output(conv(g, weights, "second", x, channels), "y")
    quantize_with_stand_ins(source, qdq)
    return qdq


def test_a_graph_that_fits_on_chip_reads_its_weights_once(tmp_path: Path) -> None:
    cost = measure(norm_conv(tmp_path, 32, 128), CHIP)
    weights = 2 * 128 * 128 * 9
    assert cost.floor.weights == pytest.approx(weights, rel=0.1)
    assert cost.floor.ends == 2 * 2 * 128 * 32 * 32
    assert cost.floor.too_large == 0
    assert cost.traffic.spilled == cost.traffic.filled == 0
    assert cost.floor.total <= cost.traffic.total
    # The ends are laid out anew, which takes them through memory once more.
    assert cost.traffic.total <= cost.floor.total + 1.1 * cost.floor.ends


def test_what_does_not_fit_on_chip_is_spilled_and_part_of_the_floor(tmp_path: Path) -> None:
    """80 channels of 256x256: 10.5 MB, and the norm's statistics need all of it."""
    cost = measure(norm_conv(tmp_path, 256, 80), CHIP)
    assert cost.floor.too_large == 2 * 2 * 80 * 256 * 256
    assert cost.traffic.spilled >= 2 * 80 * 256 * 256
    assert cost.traffic.total >= cost.floor.total
    assert cost.traffic.spill_buffer > 0


def test_stand_in_encodings_cost_what_measured_ones_do(tmp_path: Path, pipeline: object) -> None:
    from qnn_sd.pipeline import BuildPipeline

    assert isinstance(pipeline, BuildPipeline)
    measured = measure(pipeline.quantize("unet").folder, CHIP)
    stand_ins = tmp_path / "qdq"
    stand_ins.mkdir()
    quantize_with_stand_ins(pipeline.export("unet").folder, stand_ins)
    assert measure(stand_ins, CHIP).traffic.total == pytest.approx(measured.traffic.total, rel=0.05)


@pytest.mark.parametrize("times", [0, 2])
def test_a_log_without_one_summary_is_not_taken_for_whole(times: int) -> None:
    reader = TrafficReader()
    for line in (
        "====== DDR bandwidth summary ======",
        "x spill_bytes=1",
        "x fill_bytes=2",
        "x write_total_bytes=30",
        "x read_total_bytes=400",
        "<V> spillFillBufferSizes=17",
    ) * max(times, 1):
        reader(line if times else line.replace("summary", "summery"))
    assert not reader.found.complete


def test_blocks_are_named_as_the_checkpoint_names_them() -> None:
    names = {
        "down_blocks.0.resnets.1.conv1": ("down_blocks.0.resnets.1", "down_blocks.0"),
        "mid_block.attentions.0.transformer_blocks.0.attn1.head3.q": ("mid_block.attentions.0", "mid_block"),
        "decoder.up_blocks.2.upsamplers.0.conv": ("decoder.up_blocks.2.upsamplers.0", "decoder.up_blocks.2"),
        "encoder.layers.11.mlp.fc1": ("encoder.layers.11", "encoder"),
        "up_blocks.0.Concat": ("up_blocks.0", "up_blocks.0"),
        "/unet/down_blocks.1/attentions.0/proj_in/Conv": ("/unet/down_blocks.1/attentions.0", "/unet/down_blocks.1"),
        "conv_in": ("conv_in", "conv_in"),
    }
    assert {name: (block_name(name), level_name(name)) for name in names} == names


def test_parts_compute_what_the_whole_computes(tmp_path: Path, rng: np.random.Generator) -> None:
    """Each block alone, fed what the whole graph feeds it, gives what it gives in the whole graph."""
    qdq = small_unet(tmp_path)
    graph = QdqGraph(qdq)
    feeds = {
        "sample": rng.standard_normal((1, 4, 16, 16), np.float32),
        "timestep": np.array([500], np.float32),
        "encoder_hidden_states": rng.standard_normal((1, 77, 48), np.float32),
    }
    groups = graph.grouped()
    assert {"down_blocks.0.resnets.0", "down_blocks.0.attentions.0", "mid_block.attentions.0"} <= groups.keys()
    assert sum(map(len, groups.values())) == len(graph.ops)
    seen = onnx.load(qdq / MODEL_FILE)
    parts = {}
    for name, ops in groups.items():
        parts[name] = tmp_path / "parts" / name
        parts[name].mkdir(parents=True)
        graph.extract(ops, parts[name])
    ends: dict[str, None] = {}
    for folder in parts.values():
        part = onnx.load(folder / MODEL_FILE, load_external_data=False).graph
        ends.update(dict.fromkeys(value.name for value in (*part.input, *part.output)))
    del seen.graph.output[:]
    seen.graph.output.extend(graph.values[name] for name in ends if name not in feeds)
    session = reference_session(seen)
    names = [value.name for value in session.get_outputs()]
    known = {**feeds, **dict(zip(names, session.run(None, feeds), strict=True))}
    for name, folder in parts.items():
        part = onnx.load(folder / MODEL_FILE, load_external_data=False).graph
        inputs = {value.name: known[value.name] for value in part.input}
        assert sqnr_db(known[part.output[0].name], run(folder, inputs)) >= 90, name


def test_parts_say_which_blocks_move_the_bytes(tmp_path: Path) -> None:
    qdq = small_unet(tmp_path)
    told: list[str] = []
    only = ["down_blocks.0.attentions.0", "down_blocks.0.resnets.0"]
    costs = measure_parts(qdq, CHIP, only=only, each=lambda name, _: told.append(name))
    assert sorted(costs) == sorted(told) == sorted(only)
    assert all(cost.traffic.total >= cost.floor.total for cost in costs.values())
    levels = measure_parts(qdq, CHIP, by_level=True, only=["down_blocks.0"])
    assert levels["down_blocks.0"].floor.weights >= sum(cost.floor.weights for cost in costs.values())


def test_a_cut_between_named_tensors(tmp_path: Path) -> None:
    qdq = norm_conv(tmp_path, 16, 64)
    whole, second = measure(qdq, CHIP), measure_between(qdq, ["norm.silu"], ["y"], CHIP)
    assert second.floor.weights == pytest.approx(64 * 64 * 9, rel=0.05)
    assert second.traffic.total < whole.traffic.total
    with pytest.raises(SettingError, match=r"no tensor 'norm\.swish'"):
        measure_between(qdq, ["norm.swish"], ["y"], CHIP)
    with pytest.raises(SettingError, match="Nothing lies between"):
        measure_between(qdq, ["y"], ["y"], CHIP)


def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, condition: str) -> None:
    """Python for the compiler's child that dies of SIGSEGV where its request has a text."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\ncase "$*" in {condition}) kill -SEGV $$;; esac\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(wrapper))


def test_the_next_level_is_tried_where_the_compiler_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qdq = norm_conv(tmp_path, 16, 32)
    out = tmp_path / "out"
    out.mkdir()
    dying(tmp_path, monkeypatch, """*'optimization_mode": "3"'*""")
    told: list[str] = []
    metadata = compile_component(qdq, 57, 75, 3, out, report=told.append)
    assert metadata["optimization_mode"] == 2
    assert metadata["context_binary_bytes"] > 0
    assert len(told) == len(metadata["compiler_crashes"]) == 1
    assert "crashed with SIGSEGV at level 3" in told[0]
    assert told[0].endswith("trying level 2")
    # Each block alone dies too, as the fault is the level's: all are named.
    assert "also at these blocks compiled alone: first, norm, second" in told[0]
    assert measure(qdq, CHIP).level == 2


def test_the_block_that_kills_the_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault: a compiler that dies of any graph that holds the second conv's weights."""
    qdq = norm_conv(tmp_path, 16, 32)
    wrapper = tmp_path / "python"
    wrapper.write_text(
        f"""#!/bin/sh
        folder=$(echo "$3" | sed 's/.*"source": "\\([^"]*\\)".*/\\1/')
        grep -q second.weight "$folder/model.onnx" && kill -SEGV $$
        exec "{sys.executable}" "$@"
        """
    )
    wrapper.chmod(0o755)
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr("sys.executable", str(wrapper))
    told: list[str] = []
    with pytest.raises(CompileError, match=r"crashed with SIGSEGV at level 2 .*then crashed with SIGSEGV at level 1"):
        compile_component(qdq, 57, 75, 2, out, report=told.append)
    assert all("also at this block compiled alone: second)" in line for line in told)
    assert list(out.iterdir()) == []


def test_a_table_counts_by_the_rows_that_are_looked_up(tmp_path: Path) -> None:
    source, qdq = tmp_path / "float", tmp_path / "qdq"
    source.mkdir()
    qdq.mkdir()
    config = {"vocab_size": 5000, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1}
    write_graph(TEXT_ENCODER, config, RandomTensors(1), GraphSize(8, 8, 77), source)
    quantize_with_stand_ins(source, qdq)
    cost = measure(qdq, CHIP)
    # 4 projections and 2 layers of the feed-forward in int8; 77 rows, and as many positions, in uint16.
    assert cost.floor.weights == pytest.approx(4 * 64 * 64 + 2 * 64 * 128 + 2 * 2 * 77 * 64, rel=0.3)
    assert cost.floor.total <= cost.traffic.total < 2 * 5000 * 64, "the compiler reads less than the table too"


def test_the_bound_of_an_uncosted_op_is_no_less_than_the_estimate(tmp_path: Path) -> None:
    """A power has no cost, and a constant beside its input: a product of that would be worked out beforehand."""
    source, qdq = tmp_path / "float", tmp_path / "qdq"
    source.mkdir()
    qdq.mkdir()
    with Graph("test", source) as g:
        weights = RandomTensors(1)
        x = conv(g, weights, "first", g.input("x", (1, 64, 32, 32)), 64)
        two = g.constant("two", np.full((1, 64, 32, 32), 2, np.float32))
        g.output(conv(g, weights, "second", g.node("Pow", [x, two], x.shape, "power"), 64), "y")
    quantize_with_stand_ins(source, qdq)
    profile = load_profile("qcs9075")
    chip = Chip(profile.soc_model, profile.htp_arch, profile.vtcm_mb)
    cost = measure(qdq, chip)
    assert cost.estimate is not None
    assert "power" in cost.estimate.uncosted
    bound = measure_bound(qdq, cost, chip)
    assert bound is not None
    assert bound.uncosted == ()
    assert bound.ms >= cost.estimate.ms > 0


def test_costs_are_comparable(tmp_path: Path) -> None:
    qdq = norm_conv(tmp_path, 16, 32)
    cost = measure(qdq, CHIP)
    assert isinstance(cost, Cost)
    assert cost.beyond == cost.traffic.total - traffic_bound(QdqGraph(qdq), CHIP.on_chip_mb).total
