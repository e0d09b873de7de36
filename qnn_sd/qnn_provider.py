"""ONNX Runtime sessions on the QNN plugin: shared by the compiler and the emulator.

The x86-64 wheel of onnxruntime-qnn is both: it writes context binaries for any SoC, and its
libQnnHtp.so executes them on this machine's CPU, as an emulator of the HTP. How near its numbers are to a chip's
nobody here has compared.
"""

from __future__ import annotations

import functools
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path

import onnxruntime

from qnn_sd.errors import TargetError
from qnn_sd.session_loading import loading
from qnn_sd.toolchain import load_toolchains

PROVIDER = "QNNExecutionProvider"


@functools.cache
def _device() -> onnxruntime.OrtEpDevice:
    try:
        import onnxruntime_qnn  # noqa: PLC0415 (its absence has a message of its own)

        onnxruntime.register_execution_provider_library(PROVIDER, onnxruntime_qnn.get_library_path())
        devices = [d for d in onnxruntime.get_ep_devices() if d.ep_name == PROVIDER]
    except Exception as error:
        raise TargetError(
            "The QNN plugin can't be loaded",
            why=f"{type(error).__name__}: {error}",
            hint=f"{load_toolchains().chosen.reinstall}, then qnn-sd doctor.",
        ) from error
    if not devices:
        raise TargetError("The QNN plugin offers no device", hint="Run qnn-sd doctor.")
    return devices[0]


def htp_options(soc_model: int | str, htp_arch: int | str) -> dict[str, str]:
    """Provider options that name the HTP of a SoC (QNN's own numbers); to compile for several, both lists with commas.

    The compiler goes by soc_model alone; to it the HTP version follows from that.
    """
    import onnxruntime_qnn  # noqa: PLC0415

    return {
        "backend_path": onnxruntime_qnn.get_qnn_htp_path(),
        "soc_model": str(soc_model),
        "htp_arch": str(htp_arch),
    }


def library(name: str) -> Path:
    """Path of a QNN library that the plugin's wheel holds, such as ``libQnnSystem.so``."""
    import onnxruntime_qnn  # noqa: PLC0415

    return Path(onnxruntime_qnn.get_library_path()).with_name(name)


def session(
    model: Path | bytes,
    provider_options: dict[str, str],
    entries: dict[str, str] | None = None,
    *,
    verbose: bool = False,
) -> onnxruntime.InferenceSession:
    """A session with every node on the HTP, or none at all: nothing falls back to the CPU unsaid.

    Args:
        model: path of an ONNX file, or its bytes.
        provider_options: of the QNN provider.
        entries: further session config entries.
        verbose: whether the runtime and the QNN library tell all that they do, on stderr.
    """
    if verbose:
        # The plugin takes its level from the default logger, so this comes before it is loaded.
        onnxruntime.set_default_logger_severity(0)
    device = _device()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 0 if verbose else 3
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    for key, value in (entries or {}).items():
        options.add_session_config_entry(key, value)
    options.add_provider_for_devices([device], provider_options)
    # By default a failure has the Python package try the CPU's provider, whose complaint then hides the failure.
    with loading(model) if isinstance(model, Path) else nullcontext():
        source = str(model) if isinstance(model, Path) else model
        return onnxruntime.InferenceSession(source, options, enable_fallback=0)


def versions() -> dict[str, str]:
    """Versions of the compiler's and the runtime's packages."""
    return {name: metadata.version(name) for name in ("onnxruntime", "onnxruntime-qnn")}
