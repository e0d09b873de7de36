"""Ahead-of-time compile in a child process: the vendor's compiler can take its process with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from qnn_sd.errors import CompileError
from qnn_sd.onnx_files import MODEL_FILE

CONTEXT_FILE = "model_ctx.onnx"


def compile_component(
    source: Path, soc_model: int, htp_arch: int, optimization_mode: int, folder: Path
) -> dict[str, Any]:
    """Compiles a QDQ model to ``model_ctx.onnx`` (an EPContext wrapper) and its context binary.

    Args:
        source: folder of the QDQ model.
        soc_model: QNN's number of the SoC.
        htp_arch: Hexagon architecture.
        optimization_mode: ``htp_graph_finalization_optimization_mode``, 1 to 3.
        folder: existing folder that gets the files.

    Returns:
        Facts for the manifest.

    Raises:
        CompileError: the compiler refused the graph or died; nothing usable is left.
    """
    request = {
        "model": str(source / MODEL_FILE),
        "context": str(folder / CONTEXT_FILE),
        "soc_model": soc_model,
        "htp_arch": htp_arch,
        "optimization_mode": optimization_mode,
        "parent": os.getpid(),
    }
    code, output = _run_child([sys.executable, "-m", "qnn_sd.compile.child", json.dumps(request)])
    if code < 0:
        raise CompileError(
            f"The QNN compiler died of {signal.Signals(-code).name} on {source}",
            why=_last_lines(output),
            hint="Is there enough memory? If so, try optimization_mode = 1 in the device profile.",
        )
    if code:
        raise CompileError(
            f"The QNN compiler refused {source}",
            why=_last_lines(output),
            hint="A node named above has a form that the HTP doesn't take.",
        )
    if not (folder / CONTEXT_FILE).is_file():
        raise CompileError(
            f"The QNN compiler wrote nothing for {source}", why=_last_lines(output), hint="Run qnn-sd doctor."
        )
    binaries = sum(path.stat().st_size for path in folder.glob("*.bin"))
    return {"context_binary_bytes": binaries}


def _run_child(command: list[str]) -> tuple[int, str]:
    """Exit code (negative: the signal) and output of a child that Ctrl-C takes along.

    A compiler holds gigabytes, so none may be left behind. Ctrl-C waits until the child is known:
    raised within Popen it would leave a process that nobody has a handle on. (Blocking the signal
    is not enough: the runtime's threads take it then, and Python raises it here all the same.)
    """
    noted: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, lambda number, _frame: noted.append(number)) if in_main else None
    child = None
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if in_main:
            signal.signal(signal.SIGINT, before)
        if noted:
            raise KeyboardInterrupt
        output, _ = child.communicate()
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)
        if child is not None and child.poll() is None:
            child.kill()
            child.wait()
    return child.returncode, output


def _last_lines(output: str, count: int = 4) -> str:
    lines = [line for line in output.splitlines() if line.strip() and "LIBNATIVE" not in line]
    return "\n        ".join(line[:400] for line in lines[-count:])
