"""Takes the signals that end a command, and raises them where they can be handled."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from qnn_sd.interruption import guardian

if TYPE_CHECKING:
    from threading import ExceptHookArgs

_SA_RESETHAND = 0x80000000  # linux/signal.h


class Stopped(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = number


class _State:
    """Of this process; without ``install`` Python's own handling of Ctrl-C holds."""

    def __init__(self) -> None:
        self.guardian: guardian.Guardian | None = None
        self.scratch: str | None = None
        self.number: int | None = None
        self.raised = False
        self.deferrals = 0


_state = _State()


def install() -> None:
    """Takes the signals from here on; nothing is raised until ``begin``.

    A signal that the parent has this process ignore stays ignored: ``nohup``, and Ctrl-C in a shell's background job.
    The second of the same kind ends the process at once, whatever it does, as if nobody had taken it.
    """
    _state.deferrals = 1
    with suppress(OSError):
        # Of this process alone, so that nothing is left however it ends.
        _state.scratch = tempfile.tempdir = tempfile.mkdtemp(prefix="qnn-sd-")
    resets = sys.platform == "linux"
    try:
        _state.guardian = guardian.start(_state.scratch, resets)
    except OSError:  # no descriptor or process is left: signals do what they do without it
        return
    signal.set_wakeup_fd(_state.guardian.signals, warn_on_full_buffer=False)
    for number in guardian.SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _handle)
            if resets:
                _reset_after_first(number)
    threading.excepthook = _thread_failed
    sys.unraisablehook = _unraisable


class _SigAction(ctypes.Structure):
    """glibc's ``struct sigaction`` on 64-bit Linux."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ulong * (128 // ctypes.sizeof(ctypes.c_ulong))),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


def _reset_after_first(number: int) -> None:
    """Has the kernel go back to the signal's default, which ends the process, when its handler was called once.

    Python's own handlers only note a signal: in a native call, nothing of Python's could act on the second.
    """
    libc, action = ctypes.CDLL(None), _SigAction()
    if libc.sigaction(number, None, ctypes.byref(action)) == 0:
        action.flags |= ctypes.c_int(_SA_RESETHAND).value
        libc.sigaction(number, ctypes.byref(action), None)


def _handle(number: int, _frame: FrameType | None) -> None:
    _state.number = _state.number or number
    if _state.deferrals == 0:
        check()


def check() -> None:
    """Raises what was deferred.

    Raises:
        Stopped: a signal came, and hasn't been raised in this thread's place before.
    """
    if _state.number is None:
        return
    if threading.current_thread() is threading.main_thread():
        if _state.raised:
            return
        _state.raised = True
    raise Stopped(_state.number)


def begin() -> None:
    """The command begins: from here on a signal raises at once.

    Raises:
        Stopped: one came before.
    """
    if _state.guardian is not None:
        _state.deferrals = 0
        check()


@contextmanager
def deferred() -> Iterator[None]:
    """Nothing is raised in the block, so that what it starts is known to somebody; then what came meanwhile is.

    Raises:
        Stopped: a signal came in the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.deferrals += 1
    try:
        yield
    finally:
        _state.deferrals -= 1
    if _state.deferrals == 0:
        check()


def stopped_by() -> int | None:
    """The number of the signal that came first, or None."""
    return _state.number


def acknowledge() -> None:
    """Says that the command itself tells that it stops: the guardian needn't."""
    if _state.guardian is not None:
        with suppress(OSError):
            os.write(_state.guardian.signals, bytes([guardian.ACKNOWLEDGED]))


def relayed() -> int | None:
    """A descriptor on which every signal's number can be read by one thread; None without ``install``."""
    return None if _state.guardian is None else _state.guardian.relayed


def finish() -> None:
    """The command is over: a signal has nothing to stop any more, and temporary files go."""
    _state.deferrals += 1
    if _state.scratch is not None:
        shutil.rmtree(_state.scratch, ignore_errors=True)


def _thread_failed(failure: ExceptHookArgs) -> None:
    """What threads meet while the command stops is no failure of theirs."""
    if _state.number is None:
        threading.__excepthook__(failure)


def _unraisable(failure: sys.UnraisableHookArgs) -> None:
    """A signal that was raised in a finalizer, where Python drops exceptions, is raised once more."""
    if isinstance(failure.exc_value, KeyboardInterrupt):
        main = threading.main_thread().ident
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(main or 0), ctypes.py_object(Stopped))
    elif _state.number is None:
        sys.__unraisablehook__(failure)
