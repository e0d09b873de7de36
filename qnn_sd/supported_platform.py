"""Where this package runs: Linux on x86-64. Imports nothing that other systems lack, so that it can say so there."""

from __future__ import annotations

import json
import platform
import sys

from qnn_sd import resources
from qnn_sd.errors import PlatformError

_NAMES = {"darwin": "macOS", "win32": "Windows", "linux": "Linux"}
_LINUX_ON_X86 = "It needs Linux on x86-64"


def unsupported_platform() -> PlatformError | None:
    """The error for a system on which no command runs; None where they do."""
    system, machine = sys.platform, platform.machine()
    if system == "linux" and machine == "x86_64":
        return None
    if system == "win32":
        why = f"{_LINUX_ON_X86}: it locks files and ends child processes in POSIX's ways."
        hint = f"Run it in WSL 2; {resources.docs() / 'windows.md'} says how."
    elif system == "darwin":
        why = f"{_LINUX_ON_X86}: onnxruntime-qnn (QNN's compiler and the HTP emulator) is not published for macOS."
        hint = f"Run it on a Linux machine or in a container; {resources.docs() / 'macos.md'} says what is possible."
    elif system == "linux":
        why = f"{_LINUX_ON_X86}: only that build of onnxruntime-qnn holds the HTP emulator, which verifies binaries."
        hint = "Run it on a machine with an x86-64 processor."
    else:
        why = f"{_LINUX_ON_X86}: onnxruntime-qnn (QNN's compiler and the HTP emulator) is published for few systems."
        hint = "Run it on such a machine."
    return PlatformError(f"qnn-sd doesn't run on {_NAMES.get(system, system)} ({machine})", why=why, hint=hint)


def refuse_other_platforms() -> None:
    """Ends the process with the error where no command runs; does nothing where they do."""
    error = unsupported_platform()
    if error is None:
        return
    # The modules that write every other error need packages that aren't there.
    print(f"error: {error.what}.\n  why:  {error.why}\n  next: {error.hint}", file=sys.stderr)
    if "--json" in sys.argv:
        told = {"code": error.exit_code, "name": type(error).__name__}
        told |= {"what": error.what, "why": error.why, "kept": [], "next": error.hint}
        print(json.dumps({"schema": "qnn-sd/error/1", "error": told}, indent=2))
    sys.exit(error.exit_code)
