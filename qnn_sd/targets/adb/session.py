"""A worker on a phone, from its start to its end."""

from __future__ import annotations

import re
import secrets
import shlex

from qnn_sd.errors import DeviceError, TargetError
from qnn_sd.targets.adb.client import Phone, Running
from qnn_sd.targets.adb.worker_client import WorkerClient
from qnn_sd.targets.adb.worker_protocol import PROTOCOL, WorkerInfo

MAIN = "io.github.qnnsd.worker.Main"
# Where a phone's DSP finds its skel: ours first, then what the phone brings (QNN's documentation of the HTP backend).
_DSP_FOLDERS = ("/vendor/dsp/cdsp", "/vendor/lib/rfsa/adsp", "/system/lib/rfsa/adsp", "/dsp")


class WorkerSession:
    """Starts a worker and says hello; leaving the block ends it.

    The token goes over stdin, since arguments show in the phone's process list, and stdin's end is the
    worker's: if this process dies or the cable is pulled, nothing stays behind.

    Args:
        phone: where it runs.
        jar: path of ``worker.dex.jar`` on the phone.
        libraries: folder on the phone that the libraries are in.

    Attributes:
        pid: the worker's process on the phone, once it is ready; 0 before.
        info: what it said at hello; None before.
    """

    def __init__(self, phone: Phone, jar: str, libraries: str) -> None:
        self._phone, self._jar, self._libraries = phone, jar, libraries
        self._running: Running | None = None
        self._client: WorkerClient | None = None
        self.pid = 0
        self.info: WorkerInfo | None = None

    def __enter__(self) -> WorkerClient:
        """Raises a TargetError where the worker doesn't start, a DeviceError where the phone went away."""
        name, token = f"qnn-sd-{secrets.token_hex(8)}", secrets.token_hex(32)
        dsp = shlex.quote(";".join((self._libraries, *_DSP_FOLDERS)))
        self._running = self._phone.start(
            f"cd {self._libraries} && CLASSPATH={self._jar} LD_LIBRARY_PATH={self._libraries} ADSP_LIBRARY_PATH={dsp} "
            f"exec app_process / {MAIN} {PROTOCOL} {name}"
        )
        try:
            self._running.write(f"{token}\n".encode())
            self._await_ready()
            self._running.follow()
            self._client = WorkerClient(self._phone.connect(name))
            self.info = self._client.hello(token)
        except BaseException:
            self._running.close()
            raise
        return self._client

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._running is not None
        assert self._client is not None
        try:
            if kind is None:
                self._client.bye()
        finally:
            self._running.close()

    def log(self) -> str:
        """What the worker, ONNX Runtime and QNN wrote on standard error."""
        return "" if self._running is None else self._running.log()

    def _await_ready(self) -> None:
        assert self._running is not None
        try:
            line = self._running.line()
        except DeviceError as error:
            raise self._not_started(error.why) from error
        ready = re.fullmatch(rf"ready {PROTOCOL} (\d+)", line)
        if ready is None:
            raise self._not_started(f"It said {line!r}.")
        self.pid = int(ready[1])

    def _not_started(self, why: str) -> TargetError:
        return TargetError(
            f"The worker doesn't start on {self._phone.serial}",
            why=why,
            hint="Delete what is staged (qnn-sd unstage) and run the command again; docs/phone.md lists known causes.",
        )
