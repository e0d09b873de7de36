"""The stand-in as a whole: a folder, a server and the jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from qnn_sd.compile import Children
from qnn_sd.compile.optimization_level import no_op
from qnn_sd.errors import SettingError
from qnn_sd.hub_stand_in.counts import Counts
from qnn_sd.hub_stand_in.faults import NO_FAULTS, FaultBox, Faults
from qnn_sd.hub_stand_in.http_server import Server
from qnn_sd.hub_stand_in.job_runner import JobRunner
from qnn_sd.hub_stand_in.routes import Routes
from qnn_sd.hub_stand_in.service import Service
from qnn_sd.hub_stand_in.store import Store
from qnn_sd.hub_stand_in.transfers import PART_BYTES, Transfers
from qnn_sd.hub_stand_in.work import Work
from qnn_sd.output_files import output_error


class StandIn:
    """A stand-in for AI Hub; a context manager that serves while it is open.

    Args:
        folder: that keeps token, port, models, datasets and jobs; made if it isn't there.
        faults: what it does wrong.
        port: on 127.0.0.1; 0 for the folder's last one if it is free, else any free one.
        part_bytes: the most of a model's upload in one request.
        hold_seconds: how long an answer about a running job waits for its end.
        delay_seconds: how long each job waits before its work.
        say: gets a line for each job that begins or ends.

    Attributes:
        url: its address.
        client_ini: the file that the client reads.
        counts: of what was asked.

    Raises:
        OutputError: the folder can't be written.
        SettingError: the port isn't free, the folder is in use or holds something else.
    """

    def __init__(
        self,
        folder: Path,
        faults: Faults = NO_FAULTS,
        *,
        port: int = 0,
        part_bytes: int = PART_BYTES,
        hold_seconds: float = 20.0,
        delay_seconds: float = 0.0,
        say: Callable[[str], None] = no_op,
    ) -> None:
        self.counts = Counts()
        self._faults, self._children = FaultBox(faults), Children()
        try:
            self._store = store = Store(folder)
        except OSError as error:
            raise output_error(folder, error) from error
        service = Service(store, self._faults, self.counts)
        work = Work(store, self._faults, service.profile_of, service.qairt, self._children)
        self._runner = JobRunner(
            store,
            self._faults,
            work,
            self._children,
            hold_seconds=hold_seconds,
            delay_seconds=delay_seconds,
            say=say,
        )
        try:
            self._server = server = _listening(port, folder / "port")
        except SettingError:
            store.close()
            raise
        self.url = server.url
        server.token, server.store = store.token, store
        server.faults, server.counts = self._faults, self.counts
        server.transfers = Transfers(store, self.url, part_bytes)
        server.routes = Routes(service, store, self._runner, server.transfers)
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="hub-stand-in", daemon=True)
        ini = f"[api]\napi_token = {store.token}\napi_url = {self.url}\nweb_url = {self.url}\nverbose = false\n"
        self.client_ini = store.put_secret("client.ini", ini)

    def set_faults(self, faults: Faults) -> None:
        """Says what it does wrong from now on."""
        self._faults.set(faults)

    def __enter__(self) -> Self:
        self._thread.start()
        self._runner.start_due()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it; jobs that run are called off, and done when a stand-in is started here again."""
        self._runner.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._store.close()


def _listening(port: int, remembered: Path) -> Server:
    """A server at a port, at the folder's last one or at any."""
    last = remembered.read_text("utf-8").strip() if remembered.is_file() else ""
    for choice in dict.fromkeys([port] if port else [int(last) if last.isdecimal() else 0, 0]):
        try:
            server = Server(choice)
        except OSError as error:
            if port:
                raise SettingError(
                    f"Port {port} isn't free", why=str(error), hint="Choose another --port, or 0 for any free one."
                ) from error
            continue
        remembered.write_text(str(server.server_address[1]), "utf-8")
        return server
    raise SettingError("No port is free", hint="End what listens on this machine.")
