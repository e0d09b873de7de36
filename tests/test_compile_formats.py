"""``qnn-sd compile``: DLCs, and several sizes that share their weights; each with one small component of the demo."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli_here import CliHere

from qnn_sd.bundle_manifest import Bundle
from qnn_sd.compile import dlc_runtime
from qnn_sd.config import load_profile
from qnn_sd.pipeline import BuildPipeline

SIZES = ("128x128", "192x128")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "dlc", "--soc", "sm8550", "--soc", "sm8650"), "A DLC is made for one SoC"),
        (("--format", "dlc", "--size", "128", "--size", "192x128"), "A DLC is made for one size"),
        (("--size", "128", "--size", "192x128", "--soc", "sm8550", "--soc", "sm8650"), "compiled for one SoC"),
    ],
)
def test_what_one_file_cannot_hold_is_refused(
    arguments: tuple[str, ...], message: str, cli_here: CliHere, pipeline: BuildPipeline
) -> None:
    assert message in cli_here.refused(3, "compile", *arguments)


def test_the_same_size_twice_is_one(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    document = cli_here.json("compile", "--size", "128", "--size", "128x128", "--dry-run")
    assert {stage["subject"] for stage in document["stages"] if stage["stage"] == "compile"} == {"sm8650"}


@pytest.mark.parametrize("known", [True, False])
def test_dlcs_say_what_was_run_and_what_was_not(
    known: bool, cli_here: CliHere, pipeline: BuildPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With libraries that nobody tried, a DLC can't be run here, and is never called verified."""
    monkeypatch.setattr(BuildPipeline, "components", ("text_encoder",))
    if not known:
        monkeypatch.setattr(dlc_runtime, "_FUNCTIONS", {})
    document = cli_here.json("compile", "--format", "dlc", "-o", "dlcs")
    folder = cli_here.folder / "dlcs"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "manifest.json", "text_encoder.dlc"]
    assert document["components"]["text_encoder"]["dlc"]["file"] == "dlcs/text_encoder.dlc"
    figures, *unverified = document["verification"]
    assert figures.startswith("text_encoder: QDQ graph against float ")
    assert ("DLC on the HTP emulator against the QDQ graph" in figures) == known
    assert all(line.startswith("unverified: ") for line in unverified)
    assert any("qnn-net-run, snpe-net-run and a phone" in line for line in unverified)
    assert any("the DLCs themselves" in line for line in unverified) != known
    readme = (folder / "README.md").read_text("utf-8")
    assert "qnn-net-run --backend libQnnHtp.so --dlc_path text_encoder.dlc --input_list inputs.txt" in readme
    assert "| text_encoder | input | `input_ids` | 1, 77 | int32 |" in readme
    assert all(f"- {line}" in readme for line in document["verification"])


def test_sizes_share_one_binary(
    cli_here: CliHere, pipeline: BuildPipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One component that depends on the size, by given encodings: no calibration at the second one."""
    row = next(each for each in pipeline._context.components if each.name == "vae_decoder")
    given = tmp_path / "given"
    given.mkdir()
    shutil.copyfile(pipeline.quantize(row.name).file("encodings.json"), given / f"{row.name}.json")
    monkeypatch.setattr(BuildPipeline, "components", (row.name,))
    sizes = [word for size in SIZES for word in ("--size", size)]
    document = cli_here.json("compile", *sizes, "--encodings", str(given), "-o", "sizes")
    shared = document["components"]["vae_decoder"]
    assert shared["context_binary"]["file"] == "sizes/vae_decoder/128x128_ctx_qnn.bin"
    assert shared["equal_weight_bytes"] == shared["weight_bytes"]
    alone = pipeline.compile(row.name, load_profile("sm8650")).metadata["context_binary_bytes"]
    assert shared["context_binary"]["bytes"] < 1.6 * alone
    assert [(size["width"], size["height"]) for size in document["sizes"]] == [(128, 128), (192, 128)]
    for size in SIZES:
        content = json.loads((cli_here.folder / "sizes" / f"bundle-{size}.json").read_text("utf-8"))
        info = Bundle.model_validate(content)
        assert f"{info.width}x{info.height}" == size
        assert info.components["vae_decoder"].file == f"vae_decoder/{size}_ctx.onnx"
        assert "unverified: loading a file with shared weights" in info.verified
        assert shared["verification"][size]["binary_against_qdq"]["worst_db"] > 50
