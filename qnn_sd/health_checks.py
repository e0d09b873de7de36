"""The checks of ``qnn-sd doctor``: each reports what it found and what to do."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qnn_sd import config, qnn_provider
from qnn_sd.adb_program import adb_path
from qnn_sd.adb_server import DEFAULT_SERVER, server_name
from qnn_sd.ai_hub.configuration import configuration_path, read_configuration
from qnn_sd.console import Console
from qnn_sd.errors import HubAccountError
from qnn_sd.installation import install, install_extra, out_of_bounds
from qnn_sd.metrics import MIN_SQNR_DB, sqnr_db
from qnn_sd.reference import check_reference, reference_session
from qnn_sd.toolchain import TOOLCHAIN_PACKAGES, load_toolchains, loads

Status = Literal["ok", "missing", "warning", "failed"]
_REQUIRED_PACKAGES = ("onnx", "onnxruntime", "onnxruntime-qnn", "numpy", "tokenizers", "huggingface-hub")
# What the demo model needs in the cache.
_MIN_FREE_BYTES = 1_000_000_000
# A SoC that the compiler and the emulator are known to be right for.
_TRIED_SOC = "sm8650"


@dataclass(frozen=True)
class CheckResult:
    """One line of the doctor's report.

    Attributes:
        check: name of the check.
        status: ``missing`` for something that only some commands need, ``warning`` for something untested or something
            that a phone will lack, ``failed`` for what stops every command.
        found: the result.
        advice: what to do; empty if all is well.
    """

    check: str
    status: Status
    found: str
    advice: str = ""

    @property
    def name(self) -> str:
        """Name of the check."""
        return self.check


def run_health_checks(cache: Path) -> Iterator[CheckResult]:
    """Runs all checks, one after the other; none changes anything.

    Args:
        cache: the folder whose disk is checked.
    """
    checks: tuple[tuple[str, Callable[[], CheckResult]], ...] = (
        ("python", _python),
        ("packages", _packages),
        ("toolchain", _toolchain),
        ("reference", _reference),
        ("emulator", _emulator),
        ("disk", lambda: _disk(cache)),
        ("adb", _adb),
        ("ai hub", _ai_hub),
    )
    for name, check in checks:
        try:
            yield check()
        except Exception as error:  # an unexpected error is a failed check, not the end of the report
            first = (str(error).splitlines() or [type(error).__name__])[0]
            yield CheckResult(name, "failed", first, getattr(error, "hint", "") or "Run qnn-sd doctor --debug.")


def _python() -> CheckResult:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 14):
        return CheckResult("python", "ok", version)
    return CheckResult("python", "failed", version, "Create an environment with Python 3.11 to 3.14.")


def _packages() -> CheckResult:
    found, absent = [], []
    for name in _REQUIRED_PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            absent.append(name)
    if absent:
        return CheckResult("packages", "failed", f"without {', '.join(absent)}", f"{install()}.")
    return CheckResult("packages", "ok", ", ".join(found))


def _toolchain() -> CheckResult:
    """Whether the installed versions are a tested set, and whether runtime libraries exist for their binaries."""
    known, packages = load_toolchains(), {name: metadata.version(name) for name in TOOLCHAIN_PACKAGES}
    strays = out_of_bounds()
    chosen = known.of(packages)
    if chosen is not None:
        # Another set than the default is a choice, which the bounds don't know.
        strays = {name: text for name, text in strays.items() if name not in packages}
        found = [chosen.title]
    else:
        pair = " with ".join(f"{name} {number}" for name, number in packages.items())
        found = [f"{pair} is none of the sets that were tried ({', '.join(each.name for each in known.sets)})"]
    if strays:
        found.append(f"outside the bounds: {', '.join(strays.values())}")
    advice = [f"{install()}."] if strays else []
    if chosen is None:
        advice.append(f"{known.chosen.install} takes the default set.")
    elif loads(known.newest_for_phones, chosen.qairt):
        libraries = chosen.phone.qnn_runtime if chosen.phone else known.newest_for_phones
        found.append(f"phone libraries: QAIRT {libraries}")
    else:
        found.append(f"no phone libraries are published for QAIRT {chosen.qairt}")
        advice.append(
            f"For a phone: {known.chosen.install}, or take the libraries of a QAIRT SDK "
            "(qnn-sd runtime fetch --qairt-sdk PATH)."
        )
    return CheckResult("toolchain", "warning" if advice else "ok", "; ".join(found), " ".join(advice))


def _one_op_model() -> onnx.ModelProto:
    """A 1x1 convolution in QDQ form: about the smallest graph for the HTP."""
    nodes, constants = [], []

    def scaled(name: str, scale: float, dtype: type[np.generic], zero: int) -> list[str]:
        constants.append(numpy_helper.from_array(np.array(scale, np.float32), f"{name}.scale"))
        constants.append(numpy_helper.from_array(np.asarray(zero, dtype), f"{name}.zero"))
        return [f"{name}.scale", f"{name}.zero"]

    activation = scaled("activation", 2 / 65535, np.uint16, 32768)
    weight = np.arange(-8, 8, dtype=np.int8).reshape(4, 4, 1, 1)
    constants.append(numpy_helper.from_array(weight, "weight"))
    nodes.append(helper.make_node("QuantizeLinear", ["x", *activation], ["x.q"]))
    nodes.append(helper.make_node("DequantizeLinear", ["x.q", *activation], ["x.dq"]))
    nodes.append(helper.make_node("DequantizeLinear", ["weight", *scaled("w", 0.01, np.int8, 0)], ["weight.dq"]))
    nodes.append(helper.make_node("Conv", ["x.dq", "weight.dq"], ["y.raw"]))
    nodes.append(helper.make_node("QuantizeLinear", ["y.raw", *activation], ["y.q"]))
    nodes.append(helper.make_node("DequantizeLinear", ["y.q", *activation], ["y"]))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 4, 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "one_op", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model


def _reference() -> CheckResult:
    return CheckResult("reference", "ok", f"the CPU computes QDQ graphs as defined ({check_reference():.0f} dB)")


def _emulator() -> CheckResult:
    profile = config.load_profile(_TRIED_SOC)
    model = _one_op_model()
    x = np.linspace(-0.9, 0.9, 64, dtype=np.float32).reshape(1, 4, 4, 4)
    options = qnn_provider.htp_options(profile.soc_model, profile.htp_arch)
    found = qnn_provider.session(model.SerializeToString(), options).run(None, {"x": x})[0]
    expected = reference_session(model).run(None, {"x": x})[0]
    sqnr = sqnr_db(expected, found)
    if not sqnr >= MIN_SQNR_DB:
        return CheckResult(
            "emulator",
            "failed",
            f"a convolution has an SQNR of {sqnr:.0f} dB against the CPU",
            load_toolchains().chosen.reinstall,
        )
    return CheckResult("emulator", "ok", f"ran a convolution for {profile.soc} ({sqnr:.0f} dB against the CPU)")


def _disk(cache: Path) -> CheckResult:
    existing = cache
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.1f} GB free for {cache}"
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return CheckResult(
            "disk", "failed", f"{cache}: {error.strerror}", "Set QNN_SD_CACHE to a folder that you can write to."
        )
    if free < _MIN_FREE_BYTES:
        return CheckResult("disk", "failed", found, "Free 1 GB, or set QNN_SD_CACHE to a folder with more free space.")
    return CheckResult("disk", "ok", found)


def _adb() -> CheckResult:
    path = adb_path()
    if path is None:
        return CheckResult("adb", "missing", "not found", f"For a phone: {install_extra('phone')}.")
    server = server_name()
    return CheckResult("adb", "ok", str(path) if server == DEFAULT_SERVER else f"{path}, with the server at {server}")


def _ai_hub() -> CheckResult:
    try:
        account = read_configuration(Console(quiet=True))
    except HubAccountError as error:
        hint = f"For cloud devices: {install_extra('hub')}, then docs/ai-hub.md."
        is_there = configuration_path().exists()
        return CheckResult("ai hub", "missing", f"{error.what}: {error.why}" if is_there else "no token", hint)
    return CheckResult("ai hub", "ok", f"token in {account.path}")
