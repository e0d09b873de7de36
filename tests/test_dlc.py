"""DLCs: written from a QDQ graph, read back and run by the libraries that qnn-net-run uses."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from graphs import quantized, small_graph

from qnn_sd.compile import Binary, Verifier, write_dlc
from qnn_sd.compile import dlc as dlc_module
from qnn_sd.compile.dlc import DLC_FILE
from qnn_sd.compile.process import Outcome
from qnn_sd.errors import CompileError, TargetError
from qnn_sd.export.blocks.basic import conv
from qnn_sd.export.checkpoint import RandomTensors
from qnn_sd.export.graph import Graph
from qnn_sd.resources import usable_cores
from qnn_sd.verification import VerificationInput

FEEDS = {"x": np.random.default_rng(5).standard_normal((1, 3, 6, 6), np.float32)}
INPUTS = [VerificationInput("call 0", FEEDS)]


def other_weights(g: Graph) -> None:
    """``small_graph`` with other numbers."""
    weights = RandomTensors(5)
    x = conv(g, weights, "first", g.input("x", (1, 3, 6, 6)), 5)
    g.output(conv(g, weights, "second", g.node("Relu", [x], x.shape, "relu"), 4), "y")


@pytest.fixture(scope="module")
def qdq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantized(small_graph, FEEDS, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def dlc(qdq: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dlc")
    assert write_dlc(qdq, 57, 75, folder) == {"dlc_bytes": (folder / DLC_FILE).stat().st_size, "int8_operands": 0}
    return folder


def test_it_holds_one_graph_with_its_weights(dlc: Path) -> None:
    assert [path.name for path in dlc.iterdir()] == [DLC_FILE]
    with zipfile.ZipFile(dlc / DLC_FILE) as archive:
        assert {"model", "model.params", "model.params.bin"} <= set(archive.namelist())


def test_it_computes_its_qdq_graph_on_the_emulator(qdq: Path, dlc: Path) -> None:
    assert Verifier(usable_cores()).sqnr("small", Binary(qdq, dlc, 57, 75), INPUTS).worst_db > 70


def test_the_dlc_of_another_graph_is_found(dlc: Path, tmp_path: Path) -> None:
    other = quantized(other_weights, FEEDS, tmp_path)
    assert Verifier(usable_cores()).sqnr("small", Binary(other, dlc, 57, 75), INPUTS).worst_db < 10


def test_a_damaged_one_is_told(qdq: Path, dlc: Path, tmp_path: Path) -> None:
    (tmp_path / DLC_FILE).write_bytes((dlc / DLC_FILE).read_bytes()[:3000])
    with pytest.raises(TargetError, match="The emulator failed") as refused:
        Verifier(usable_cores()).sqnr("small", Binary(qdq, tmp_path, 57, 75), INPUTS)
    assert "can't be opened" in refused.value.why


def test_a_graph_in_several_parts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.dlc", "b.dlc"):
        (tmp_path / name).touch()
    monkeypatch.setattr(dlc_module, "run_child", lambda *_arguments: Outcome(0, ""))
    with pytest.raises(CompileError, match="came out as 2 DLCs") as refused:
        write_dlc(tmp_path / "no-graph", 57, 75, tmp_path)
    assert "a.dlc, b.dlc" in refused.value.why
