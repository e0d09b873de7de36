"""``qnn-sd compile`` for more than one SoC: a bundle each, or one whose files serve all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_here import CliHere

from qnn_sd import config
from qnn_sd.artifact_manifest import Work
from qnn_sd.cli.forecast import make_forecast
from qnn_sd.cli.value_types import SomeSocs
from qnn_sd.compile import narrow_operands, optimization_level, process
from qnn_sd.errors import CompileError
from qnn_sd.estimates import Machine, how_many_fit
from qnn_sd.pipeline import COMPONENTS, BuildPipeline
from qnn_sd.pipeline.artifact_store import PlannedStage


def test_every_soc_that_is_named_gets_a_bundle_of_its_own(
    cli_here: CliHere, pipeline: BuildPipeline, tmp_path: Path
) -> None:
    """Named twice, it is built once; a SoC that is refused keeps none of the others from its bundle."""
    made = cli_here.json("compile", "--soc", "8gen3,sm8550", "--soc", "SM8650-AC", "--no-verify", "-o", "out")
    assert made["schema"] == "qnn-sd/compile-several/1"
    assert [each["soc"] for each in made["bundles"]] == ["sm8650", "sm8550"]
    assert [each["dl_mode"] for each in made["bundles"]] == [2, 1]
    assert made["refused"] == []
    for each in made["bundles"]:
        folder = tmp_path / "out" / each["soc"]
        assert Path(each["folder"]) == Path("out") / each["soc"]
        assert set(each["components"]) == set(COMPONENTS)
        assert json.loads((folder / "bundle.json").read_text())["soc"]["name"] == each["soc"]
        for component in each["components"].values():
            assert (tmp_path / component["context_binary"]["file"]).is_file()
            assert component["int8_operands"] == 0


def test_one_refused_soc_loses_nothing_of_the_others(
    cli_here: CliHere, pipeline: BuildPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler really refuses: v68 gets the operands that it doesn't take."""
    monkeypatch.setattr(narrow_operands, "takes_int16_operands", lambda _htp_arch: True)
    done = cli_here("compile", "--soc", "sm8350", "--soc", "sm8650", "--no-verify", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == document["refused"][0]["error"]["code"] == 14
    assert [each["soc"] for each in document["refused"]] == ["sm8350"]
    assert [each["soc"] for each in document["bundles"]] == ["sm8650"]
    assert "warning: sm8350: The QNN compiler refused" in done.stderr


def test_one_file_for_several_socs_says_that_it_was_not_run(cli_here: CliHere, pipeline: BuildPipeline) -> None:
    made = cli_here.json("compile", "--soc", "sm8550,sm8650", "--multi-soc", "--no-verify", "-o", "both")
    assert made["soc"] == "sm8550+sm8650"
    assert made["dl_mode"] is None
    assert made["verified"] == "NOT VERIFIED (--no-verify)"
    info = json.loads((cli_here.folder / "both" / "bundle.json").read_text())
    assert info["soc"]["name"] == "sm8550"
    assert [each["name"] for each in info["further_socs"]] == ["sm8650"]
    sizes = {name: each["bytes"] for name, each in made["components"].items()}
    alone = {name: pipeline.compile(name, config.load_profile("sm8650")) for name in COMPONENTS}
    for name, size in sizes.items():
        # The weights once.
        assert alone[name].metadata["context_binary_bytes"] < size < 1.6 * alone[name].metadata["context_binary_bytes"]


def test_a_plan_for_every_soc_has_their_stages_and_the_shared_ones_once(
    cli_here: CliHere, pipeline: BuildPipeline
) -> None:
    stages = cli_here.json("compile", "--soc", "all", "--dry-run")["stages"]
    count = len(config.socs())
    kinds = [each["stage"] for each in stages]
    assert kinds.count("compile") == 4 * count
    assert kinds.count("bundle") == count
    assert kinds.count("quantize") == 4
    assert {each["subject"] for each in stages if each["stage"] == "compile"} == set(config.socs())


def test_multi_soc_needs_several(cli_here: CliHere) -> None:
    assert "--multi-soc has no meaning for one SoC" in cli_here.refused(3, "compile", "--multi-soc")
    assert "Unknown SoC" in cli_here.refused(4, "compile", "--soc", "sm8550,sm0001")
    assert "One file can't serve sm8350 and sm8650" in cli_here.refused(
        3, "compile", "--soc", "sm8350,sm8650", "--multi-soc"
    )
    assert SomeSocs().convert("all,8gen3", None, None) == tuple(config.socs())


def test_as_many_compilers_run_as_memory_allows() -> None:
    assert how_many_fit([6e9, 1e9, 2e9], 2, 24e9) == 2
    assert how_many_fit([6e9, 1e9, 2e9], 4, 24e9) == 3
    assert how_many_fit([6e9, 6e9, 2e9], 4, 13e9) == 2
    assert how_many_fit([6e9, 6e9], 2, 4e9) == 1
    assert how_many_fit([6e9], 2, None) == 1
    assert how_many_fit([], 2, 1e9) == 1


def test_the_forecast_knows_that_compilers_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    def planned(name: str, parameters: int) -> PlannedStage:
        work = Work(component=name, pixels=512 * 512, parameters={name: parameters})
        return PlannedStage("compile", name, f"m.{name}.sm8650", False, work, 10.0)

    plan = [planned("unet", 860_000_000), planned("vae_decoder", 49_000_000)]
    monkeypatch.setattr("qnn_sd.cli.forecast.usable_cores", lambda: [0, 1])
    beside = {}
    for free in (64e9, 7e9):
        monkeypatch.setattr("qnn_sd.cli.forecast.available_memory", lambda free=free: (free, "of this machine"))
        beside[free] = make_forecast(plan, [], Machine(2, 1.0, 2.0)).build_seconds
    assert beside == {64e9: 10.0, 7e9: 20.0}


def test_compilers_that_were_ended_did_not_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C no lower level is tried, and nothing is said of memory."""
    children, said = process.Children(), []

    def killed(_job: process.Job, _listen: object) -> process.Outcome:
        children.close()
        return process.Outcome(-9, "")

    monkeypatch.setattr(optimization_level, "run", killed)
    job = process.Job(tmp_path, tmp_path, 57, 75, 3, children=children)
    with pytest.raises(CompileError, match="called off"):
        optimization_level.run_at_best_level(job, said.append, lambda: optimization_level.no_op)
    assert said == []
