"""A worker that was left warm on a phone: how the next run finds it, and how it is ended.

Its token lies in a file that the shell user alone may read. Who takes the worker takes the file away
first, so two runs never share one.
"""

from __future__ import annotations

import json
import re
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass

from qnn_sd.errors import QnnSdError, StagingError
from qnn_sd.targets.adb.client import Phone
from qnn_sd.targets.adb.staging import STAGING_FOLDER
from qnn_sd.targets.adb.worker.client import WorkerClient

# A worker that nobody takes holds the phone's memory for so long.
WARM_SECONDS = 600
_RECORD = f"{STAGING_FOLDER}/warm-worker"
_SOCKET = re.compile(r"qnn-sd-[0-9a-f]{16}")
_TOKEN = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class WorkerAddress:
    """How a worker is reached, and what it is good for.

    Attributes:
        socket: the name of its abstract socket.
        token: what its host must know.
        deployment_key: a hash of all that it was started and opened with.
    """

    socket: str
    token: str
    deployment_key: str

    @staticmethod
    def fresh(deployment_key: str) -> WorkerAddress:
        """One that nobody has, for a worker that is about to start."""
        return WorkerAddress(f"qnn-sd-{secrets.token_hex(8)}", secrets.token_hex(32), deployment_key)


def leave_worker_warm(phone: Phone, client: WorkerClient, address: WorkerAddress) -> None:
    """Leaves a worker to the next run, for ``WARM_SECONDS``.

    Raises:
        DeviceError: the phone went away.
        StagingError: the phone can't note where the worker is; it ends when nobody comes.
        TargetError: the worker is gone.
    """
    client.leave(WARM_SECONDS)
    part = f"{_RECORD}.part"
    # The token is for the shell user's eyes alone, also while it is being written.
    note = f"touch {part} && chmod 600 {part} && cat > {part} && mv {part} {_RECORD}"
    noted = phone.shell(note, [json.dumps(asdict(address)).encode()])
    if noted.exit_code:
        raise StagingError(
            f"{phone.serial} can't keep its worker",
            why=noted.error_line,
            hint="Free space on the phone, or run without --keep-alive.",
        )


def take_warm_worker(phone: Phone, deployment_key: str) -> tuple[WorkerClient, WorkerAddress] | None:
    """The worker that was left for the same deployment, greeted; one left for another is ended.

    Args:
        phone: where to look.
        deployment_key: what it is needed for.

    Returns:
        None if there is none, or it is gone.

    Raises:
        DeviceError: the phone went away.
    """
    address = _take_record(phone)
    if address is None:
        return None
    # It may have ended by itself, been killed, or be a worker of another version: then a new one is started.
    with suppress(QnnSdError):
        client = _greeted(phone, address)
        if address.deployment_key == deployment_key:
            return client, address
        client.bye()
    return None


def stop_warm_worker(phone: Phone) -> bool:
    """Ends the worker that was left warm; returns whether there was a record of one.

    Raises:
        DeviceError: the phone went away.
    """
    address = _take_record(phone)
    if address is None:
        return False
    with suppress(QnnSdError):
        _greeted(phone, address).bye()
    return True


def _greeted(phone: Phone, address: WorkerAddress) -> WorkerClient:
    client = WorkerClient(phone.connect(address.socket))
    client.hello(address.token)
    return client


def _take_record(phone: Phone) -> WorkerAddress | None:
    """Takes the note away and reads it; of two that try, one gets it."""
    mine = f"{_RECORD}.{secrets.token_hex(4)}"
    found = phone.shell(f"mv {_RECORD} {mine} && cat {mine}; rm -f {mine}")
    try:
        address = WorkerAddress(**json.loads(found.stdout))
    except (ValueError, TypeError):
        return None
    known = _SOCKET.fullmatch(str(address.socket)) and _TOKEN.fullmatch(str(address.token))
    return address if known else None
