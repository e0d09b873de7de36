"""The architecture's rules, read off the source."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from conftest import ROOT

from qnn_sd import errors

PACKAGE = ROOT / "qnn_sd"
STAGES = {"export", "quantize", "compile", "bundle", "generate", "targets", "virtual_phone"}
# Who may know several stages: the pipeline, the commands, what they do with anybody's context binaries, and the
# stand-in for AI Hub, which compiles and runs what a client uploads.
ABOVE = {"pipeline", "cli", "__main__", "binaries", "hub_stand_in"}


def imported_modules(path: Path) -> set[str]:
    """The modules of qnn_sd that a file imports, such as ``qnn_sd.errors``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            for alias in node.names:
                module = ROOT / node.module.replace(".", "/") / alias.name
                if module.is_dir() or module.with_suffix(".py").is_file():
                    names.append(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name for name in names if name.startswith("qnn_sd.")}
    return found


def imports(path: Path) -> set[str]:
    """The parts of qnn_sd that a file imports, such as ``export`` or ``errors``."""
    return {name.split(".")[1] for name in imported_modules(path)}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_stage_imports_another(path: Path) -> None:
    here, seen = room(path), imports(path)
    if here in ABOVE:
        return
    assert not (seen & ABOVE) or here in ABOVE
    allowed = {here} if here in STAGES else set()
    assert not (seen & STAGES) - allowed


# Packages that others use through the names in their __init__.py alone, with the tests of what is inside.
FACES = {
    "hub_stand_in": "test_hub_stand_in*.py",
    "runtime_libraries": "test_runtime_libraries.py",
    "targets/adb/client": "",
    "targets/adb/diagnostics": "test_phone_report.py",
    "targets/adb/staging": "",
    "virtual_phone": "test_virtual_phone*.py",
}


@pytest.mark.parametrize("package", FACES)
def test_a_package_with_a_face_is_imported_through_it(package: str) -> None:
    module = f"qnn_sd.{package.replace('/', '.')}"
    inside = {*(PACKAGE / package).rglob("*.py")}
    inside |= set((ROOT / "tests").glob(FACES[package])) if FACES[package] else set()
    folders = (PACKAGE, ROOT / "tests", ROOT / "benchmarks", ROOT / "worker")
    for path in {path for folder in folders for path in folder.rglob("*.py")} - inside:
        assert not [name for name in imported_modules(path) if name.startswith(f"{module}.")], path


def test_the_virtual_phone_knows_nothing_of_what_uses_it() -> None:
    known = {"adb_program", "config", "device_properties", "errors", "installation", "runtime_libraries", "worker_jars"}
    for path in (PACKAGE / "virtual_phone").rglob("*.py"):
        assert imports(path) <= {*known, "virtual_phone"}, path


GPU_BACKEND = PACKAGE / "quantize" / "adaround" / "backend.py"


def test_only_the_tests_and_the_trainer_know_torch() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            known = {name.split(".")[0] for name in names} & {"torch", "diffusers", "transformers", "pickle"}
            # AdaRound's matrices go to a GPU where torch has one; imported in the functions that do it.
            assert known <= ({"torch"} if path == GPU_BACKEND and getattr(node, "col_offset", 0) else set()), path


def expected_errors() -> list[type[errors.QnnSdError]]:
    named = [each for each in vars(errors).values() if isinstance(each, type)]
    return [each for each in named if issubclass(each, errors.QnnSdError) and each is not errors.QnnSdError]


def test_exit_codes_are_distinct_and_documented() -> None:
    codes = [error.exit_code for error in expected_errors()]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes
    assert {error.__name__: error.exit_code for error in expected_errors() if error.exit_code in (1, 2, 130)} == {
        "UnexpectedError": 1,
        "UsageError": 2,
        "Interrupted": 130,
    }
    rows = re.findall(r"^\| (\d+) \| `?(\w+)", (ROOT / "docs" / "errors.md").read_text("utf-8"), re.M)
    documented = {int(code): name for code, name in rows}
    for error in expected_errors():
        assert documented.pop(error.exit_code, None) == error.__name__
    assert set(documented) == {0}
