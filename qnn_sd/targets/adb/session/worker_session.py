"""A worker on a phone, from its start to its end."""

from __future__ import annotations

import re
import shlex
import time

from qnn_sd.errors import QnnSdError, TargetError
from qnn_sd.targets.adb.client import CommandEndedError, Phone, RemoteProcess
from qnn_sd.targets.adb.session.warm_worker import WorkerAddress, leave_worker_warm, stop_warm_worker, take_warm_worker
from qnn_sd.targets.adb.session.worker_end import explain_loss, worker_ended
from qnn_sd.targets.adb.worker.client import WorkerClient
from qnn_sd.targets.adb.worker.protocol import PROTOCOL, WorkerInfo

MAIN = "io.github.qnnsd.worker.Main"
# Where a phone's DSP finds its skel: ours first, then what the phone brings (QNN's documentation of the HTP backend).
_DSP_FOLDERS = ("/vendor/dsp/cdsp", "/vendor/lib/rfsa/adsp", "/system/lib/rfsa/adsp", "/dsp")
# A worker frees what it holds before it ends; one that takes longer is cut off.
_GOODBYE_SECONDS = 5.0
# 128 + SIGKILL.
_KILLED = 137
# ECMA-48's SGR sequences.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _plain(log: str) -> str:
    return _COLOUR.sub("", log)


class WorkerSession:
    """Starts a worker, or takes the one that was left warm, and says hello; leaving the block ends it.

    The token goes over stdin, since arguments show in the phone's process list, and stdin's end is the
    worker's: if this process dies or the cable is pulled, nothing stays behind.

    An error that ends the block, or the start, takes the log with it as a note, which a traceback shows.

    Args:
        phone: where it runs.
        jar: path of ``worker.dex.jar`` on the phone.
        libraries: folder on the phone that the libraries are in.
        deployment_key: a hash of all that makes one worker as good as another.
        cold: whether the worker must be a new one.
        keep: whether it is left warm when the block ends without an error.

    Attributes:
        pid: the worker's process on the phone, once it is ready; 0 before.
        info: what it said at hello; None before.
        start_seconds: from the command that starts it to its hello; 0 if it was warm.
    """

    def __init__(
        self, phone: Phone, jar: str, libraries: str, deployment_key: str, *, cold: bool = False, keep: bool = False
    ) -> None:
        self._phone, self._jar, self._libraries, self._deployment_key = phone, jar, libraries, deployment_key
        self._cold, self._keep = cold, keep
        self._running: RemoteProcess | None = None
        self._taken: tuple[WorkerClient, WorkerAddress] | None = None
        self.pid = 0
        self.info: WorkerInfo | None = None
        self.start_seconds = 0.0

    @property
    def was_warm(self) -> bool:
        """Whether it is one that an earlier run left."""
        return self._taken is not None and self._running is None

    def __enter__(self) -> WorkerClient:
        """Raises a TargetError where the worker doesn't start, a DeviceError where the phone went away."""
        if self._cold:
            stop_warm_worker(self._phone)
        else:
            self._taken = take_warm_worker(self._phone, self._deployment_key)
        if self._taken is None:
            self._taken = self._start()
        self._taken[0].explain_losses(self._explain_loss)
        return self._taken[0]

    def _explain_loss(self, why: str) -> QnnSdError:
        return explain_loss(self._phone, self._running, self.log, why)

    def _start(self) -> tuple[WorkerClient, WorkerAddress]:
        address = WorkerAddress.fresh(self._deployment_key)
        dsp = shlex.quote(";".join((self._libraries, *_DSP_FOLDERS)))
        # adbd hangs up on what it started when the host goes; a worker that is to stay must not mind.
        run = "exec nohup app_process" if self._keep else "exec app_process"
        started = time.perf_counter()
        running = self._running = self._phone.start(
            f"cd {self._libraries} && CLASSPATH={self._jar} LD_LIBRARY_PATH={self._libraries} ADSP_LIBRARY_PATH={dsp} "
            f"{run} / {MAIN} {PROTOCOL} {address.socket}"
        )
        try:
            running.write(f"{address.token}\n".encode())
            self._await_ready()
            running.follow()
            client = WorkerClient(self._phone.connect(address.socket))
            client.explain_losses(self._explain_loss)
            self.info = client.hello(address.token)
            self.start_seconds = time.perf_counter() - started
        except BaseException as error:
            self._note_log(error)
            running.close()
            raise
        return client, address

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        assert self._taken is not None
        client, address = self._taken
        try:
            if kind is not None:
                client.hang_up()
            elif self._keep:
                leave_worker_warm(self._phone, client, address)
            else:
                client.bye()
                if self._running is not None:
                    self._running.await_end(_GOODBYE_SECONDS)
        finally:
            if error is not None:
                self._note_log(error)
            if self._running is not None:
                self._running.close()

    def _note_log(self, error: BaseException) -> None:
        if self.was_warm:
            error.add_note("The worker's log isn't here: it went to the run that left the worker warm.")
        elif self._running is not None:
            # Who stops the command doesn't wait for more of it.
            log = _plain(self._running.log()) if isinstance(error, KeyboardInterrupt) else self.log()
            error.add_note(f"The worker's log:\n{log.rstrip() or '(empty)'}")

    def log(self) -> str:
        """What the worker, ONNX Runtime and QNN wrote on standard error, less ONNX Runtime's colours."""
        if self._running is None:
            return ""
        self._running.await_log()
        return _plain(self._running.log())

    def _await_ready(self) -> None:
        assert self._running is not None
        try:
            line = self._running.line()
        except CommandEndedError as error:
            # Android may kill it already while it starts; that isn't the worker's fault.
            if self._running.exit_code == _KILLED:
                raise worker_ended(self._phone, _KILLED, self._running.log()) from error
            raise self._not_started(error.why) from error
        ready = re.fullmatch(r"ready (\d+) (\d+)", line)
        if ready is None:
            raise self._not_started(f"It said {line!r}.")
        if int(ready[1]) != PROTOCOL:
            raise self._not_started(f"It speaks protocol {ready[1]}, not {PROTOCOL}.")
        self.pid = int(ready[2])

    def _not_started(self, why: str) -> TargetError:
        return TargetError(
            f"The worker doesn't start on {self._phone.serial}",
            why=why,
            hint="Delete what is staged (qnn-sd unstage) and run the command again; docs/phone.md lists known causes.",
        )
