"""JSON documents: schemas that are current, and failures that are documents too."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cli_here import CliHere
from conftest import ROOT, Cli, json_document
from pydantic import ValidationError
from schemas import FOLDER, document_models, schema_id, schema_of, text_of

from qnn_sd.artifact import MANIFEST, Recipe, load_or_build
from qnn_sd.bundle_manifest import BUNDLE_FILE
from qnn_sd.cli import app
from qnn_sd.cli.app import main
from qnn_sd.cli.documents import ErrorDetail, ErrorDocument
from qnn_sd.errors import CheckpointError
from qnn_sd.pipeline import BuildPipeline

MODELS = document_models()
# What one thing is called, and by which other names it may not go.
ONE_WORD = {
    "device": ("serial", "address"),
    "file": ("path", "filename"),
    "folder": ("directory", "dir", "root"),
    "size": ("width_height", "resolution"),
    "seconds": ("secs", "s", "duration"),
    "celsius": ("degrees", "temperature"),
    "next": ("advice", "hint"),
    "made_at": ("measured_at", "made", "date"),
    "versions": ("software", "packages"),
    "schema": ("format", "version_of_format"),
}


# Schemas


def test_every_document_has_a_schema_and_every_schema_a_document() -> None:
    assert {path.name.removesuffix(".schema.json") for path in FOLDER.glob("*.json")} == set(MODELS)
    assert set(MODELS) >= {
        *("export", "quantize", "compile", "verify", "report", "cost", "run", "bench", "devices", "unstage", "doctor"),
        *("runtime-fetch", "runtime-list", "virtual-phone", "plan", "error", "artifact", "bundle"),
    }


@pytest.mark.parametrize("name", MODELS)
def test_the_file_is_what_the_model_gives(name: str) -> None:
    stale = "run python tools/schemas.py"
    assert (FOLDER / f"{name}.schema.json").read_text("utf-8") == text_of(MODELS[name]), stale


def objects_of(schema: Any) -> list[Any]:
    return [schema, *schema.get("$defs", {}).values()]


@pytest.mark.parametrize("name", MODELS)
def test_a_schema_describes_every_field_and_allows_no_other(name: str) -> None:
    schema = schema_of(MODELS[name])
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"{name}.schema.json"
    assert schema["title"] == schema_id(MODELS[name])
    assert next(iter(schema["properties"])) == "schema"
    assert schema["properties"]["schema"]["const"] == schema["title"]
    assert re.fullmatch(rf"qnn-sd/{name}/\d+", schema["title"])
    for each in objects_of(schema):
        assert each["description"]
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"]), "every field is always there"
        assert all(field["description"].endswith(".") for field in each["properties"].values())


@pytest.mark.parametrize("name", MODELS)
def test_one_thing_has_one_name(name: str) -> None:
    for each in objects_of(schema_of(MODELS[name])):
        names = set(each["properties"])
        for word, others in ONE_WORD.items():
            assert not names.intersection(others), f"{each['title']}: that is called {word!r}"
        for field, schema in each["properties"].items():
            if field == "bytes" or field.endswith("_bytes"):
                assert {"type": "integer"}.items() <= schema.items() or {"type": "integer"} in schema["anyOf"]
            if field == "size":
                assert "ImageSize" in json.dumps(schema)


def test_a_document_that_does_not_follow_its_schema_is_found() -> None:
    text = json.dumps(ErrorDocument(error=ErrorDetail.of(CheckpointError("a", why="b", hint="c"))).content)
    assert json_document(text)["error"]["name"] == "CheckpointError"
    for wrong in (text.replace("10", '"10"'), text.replace('"why": "b", ', ""), text.replace('"why"', '"reason"')):
        with pytest.raises((AssertionError, ValidationError)):
            json_document(wrong)


def test_an_artifact_and_a_bundle_follow_theirs(pipeline: BuildPipeline) -> None:
    made = pipeline.build_cpu_bundle("float")
    manifest = json_document((made.folder / MANIFEST).read_text("utf-8"))
    bundle = json_document((made.folder / BUNDLE_FILE).read_text("utf-8"))
    assert manifest["schema"] == "qnn-sd/artifact/1"
    assert manifest["files"][BUNDLE_FILE]["bytes"] == (made.folder / BUNDLE_FILE).stat().st_size
    assert bundle["schema"] == "qnn-sd/bundle/1"
    assert bundle["model"] == "tiny-sd"


def test_a_manifest_is_written_as_its_schema_says(tmp_path: Path) -> None:
    """Values that no JSON type has become text."""
    recipe = Recipe("stage", "name", {"a": "0"}, {"folder": Path("/x"), "numbers": (1, 2)}, {"tool": "1"})
    made = load_or_build(tmp_path, recipe, lambda folder: {"written": folder.joinpath("x").write_text("y")})
    manifest = json_document((made.folder / MANIFEST).read_text("utf-8"))
    assert manifest["settings"] == {"folder": "/x", "numbers": [1, 2]}
    assert manifest["metadata"] == {"written": 1}
    assert load_or_build(tmp_path, recipe, lambda _folder: {}).cached


def test_the_wheel_has_the_schemas(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"qnn_sd/schemas/{name}.schema.json" for name in MODELS} <= names


# Failures


@pytest.mark.parametrize(
    ("code", "name", "arguments"),
    [
        (2, "UsageError", ("run", "x", "--json", "--step", "3")),
        (2, "UsageError", ("run", "--json")),
        (2, "UsageError", ("run", "a", "red", "circle", "--json")),
        (2, "UsageError", ("a red circle", "--json")),
        (2, "UsageError", ("run", "x", "--json", "--steps", "twenty")),
        (2, "UsageError", ("nothing", "--json")),
        (2, "UsageError", ("cost", "--by", "layer", "--json")),
        (3, "SettingError", ("run", "x", "--json", "--steps", "0")),
        (4, "UnknownSocError", ("compile", "--soc", "sm8660", "--json")),
        (10, "CheckpointError", ("run", "x", "--checkpoint", "nowhere", "--json")),
        (30, "OutputError", ("run", "x", "-o", "missing/out.png", "--json")),
    ],
)
def test_a_failure_is_one_document_and_the_same_lines(
    code: int, name: str, arguments: tuple[str, ...], cli_here: CliHere
) -> None:
    # A line to type has the options that were typed.
    assert cli_here.refused(code, *arguments).replace(" --json", "") == cli_here.refused(
        code, *(each for each in arguments if each != "--json")
    )
    done = cli_here(*arguments)
    document = json_document(done.stdout)
    assert document["schema"] == "qnn-sd/error/1"
    assert (document["error"]["code"], document["error"]["name"]) == (code, name)
    assert document["error"]["next"]


def test_a_prompt_that_reads_like_the_option_is_a_prompt(cli_here: CliHere) -> None:
    done = cli_here("run", "--steps", "0", "--", "--json")
    assert (done.returncode, done.stdout) == (3, "")
    assert "--steps 0 is not possible" in done.stderr


def test_ctrl_c_is_a_document(cli: Cli) -> None:
    process = subprocess.Popen(
        cli.command("run", "x", "--target", "cpu", "--steps", "1000", "--json"),
        cwd=cli.folder,
        env=cli.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any("generating on cpu" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert json_document(out)["error"]["name"] == "Interrupted"
    assert "interrupted. Type the same line again; it begins anew." in said


def test_a_bug_is_a_document_and_shows_its_traceback_with_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(app.cli.commands["devices"], "callback", broken)
    for debug in ((), ("--debug",)):
        assert main(["devices", "--json", *debug]) == 1
        told = capsys.readouterr()
        error = json_document(told.out)["error"]
        assert (error["name"], error["why"]) == ("UnexpectedError", "a bug")
        assert "eport" in error["next"]
        assert ("Traceback" in told.err) is bool(debug)
        assert "error: qnn-sd met an error that it doesn't know: RuntimeError." in told.err


# A stdout that can't be written


def with_stdout(cli: Cli, redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, with its stdout sent elsewhere by a shell."""
    line = f'"$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}", "bash", *cli.command(*arguments)],
        cwd=cli.folder,
        env=cli.environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )


QUICK = ("export", "--dry-run")


@pytest.mark.parametrize("arguments", [QUICK, (*QUICK, "--json"), ("--help",), ("--version",), ("run", "--json")])
@pytest.mark.parametrize(("redirection", "why"), [("> /dev/full", "No space left on device"), (">&-", "Bad file")])
def test_a_stdout_that_is_full_or_closed_is_an_error(
    redirection: str, why: str, arguments: tuple[str, ...], cli: Cli
) -> None:
    done = with_stdout(cli, redirection, *arguments)
    assert done.returncode == 30, done.stderr
    assert "error: Can't write to standard output." in done.stderr
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("arguments", [QUICK, (*QUICK, "--json"), ("--help",), ("run", "--help")])
def test_a_reader_that_is_gone_ends_it_quietly(arguments: tuple[str, ...], cli: Cli) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        cli.command(*arguments, *(("--quiet",) if "--help" not in arguments else ())),
        cwd=cli.folder,
        env=cli.environment,
        check=False,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=600,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_takes_one_line_has_it(cli: Cli) -> None:
    done = with_stdout(cli, "| head -1", *QUICK)
    assert done.returncode == 0
    assert done.stdout.startswith("stage")
    assert "Traceback" not in done.stderr


def test_a_command_goes_on_when_its_reader_is_gone(cli: Cli) -> None:
    """It was told to make two images; that nobody reads their names is no reason to make one."""
    done = with_stdout(cli, "| true", "run", "x", "--target", "cpu", "--steps", "1", "--seed", "3", "-n", "2")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in cli.folder.iterdir()) == ["out-3.png", "out-4.png"]


def test_a_broken_pipe_inside_a_command_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A child or a socket that hangs up is not stdout's reader: click alone would end silently."""

    def broken(**_options: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(app.cli.commands["devices"], "callback", broken)
    assert main(["devices"]) == 1
    assert "error: qnn-sd met an error that it doesn't know: BrokenPipeError." in capsys.readouterr().err


@pytest.mark.parametrize("redirection", ["2> /dev/full", "2>&-"])
def test_remarks_that_cannot_be_written_are_nobodys_loss(redirection: str, cli: Cli) -> None:
    done = with_stdout(cli, redirection, "run", "x", "--target", "cpu", "--steps", "1", "--json")
    assert done.returncode == 0
    assert json_document(done.stdout)["schema"] == "qnn-sd/run/1"
    assert with_stdout(cli, redirection, "run", "x", "--steps", "0").returncode == 3
    assert with_stdout(cli, redirection, "run", "--step").returncode == 2


def test_native_remarks_do_not_reach_stdout() -> None:
    """Descriptor 1 is nobody's but ours."""
    code = (
        "from qnn_sd.cli.stdout import keep_stdout; import os; "
        "keep_stdout(False); os.write(1, b'native'); print('ours')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "ours\n"
