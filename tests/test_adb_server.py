"""Which adb server the commands talk to: the one that adb itself would, as a real adb confirms."""

from __future__ import annotations

from pathlib import Path

import pytest
from adb_host import AdbHost
from conftest import Cli

from qnn_sd.adb_server import server_address
from qnn_sd.errors import DeviceError

VARIABLES = ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT")


@pytest.fixture(autouse=True)
def without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ({}, ("127.0.0.1", 5037)),
        ({"ANDROID_ADB_SERVER_PORT": "5555"}, ("127.0.0.1", 5555)),
        ({"ANDROID_ADB_SERVER_ADDRESS": "172.20.64.1"}, ("172.20.64.1", 5037)),
        ({"ANDROID_ADB_SERVER_ADDRESS": "windows", "ANDROID_ADB_SERVER_PORT": "1"}, ("windows", 1)),
        ({"ADB_SERVER_SOCKET": "tcp:5038"}, ("127.0.0.1", 5038)),
        ({"ADB_SERVER_SOCKET": "tcp:host.docker.internal:5037"}, ("host.docker.internal", 5037)),
        ({"ADB_SERVER_SOCKET": "tcp:[fd00::1]:5037"}, ("fd00::1", 5037)),
        ({"ADB_SERVER_SOCKET": "", "ANDROID_ADB_SERVER_PORT": "7"}, ("127.0.0.1", 7)),
        ({"ADB_SERVER_SOCKET": "tcp:other:1", "ANDROID_ADB_SERVER_PORT": "7"}, ("other", 1)),
    ],
)
def test_the_variables_are_adbs(
    values: dict[str, str], address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert server_address() == address


@pytest.mark.parametrize("text", ["localfilesystem:/tmp/adb", "tcp:", "tcp:host:", "tcp:host:99999", "host:5037"])
def test_another_kind_of_address_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADB_SERVER_SOCKET", text)
    with pytest.raises(DeviceError, match="address can't be read") as caught:
        server_address()
    assert text in caught.value.why
    monkeypatch.delenv("ADB_SERVER_SOCKET")
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "much")
    with pytest.raises(DeviceError) as caught:
        server_address()
    assert "ANDROID_ADB_SERVER_PORT" in caught.value.why


class ServerElsewhere(AdbHost):
    """An adb whose server is at another address than it expects: as on another machine, started with -a."""

    ADDRESS = "127.0.0.2"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self("kill-server")
        del self.environment["ANDROID_ADB_SERVER_PORT"]
        self.environment["ADB_SERVER_SOCKET"] = self.socket
        self.server = self.start("-a", "-P", str(self.port), "nodaemon", "server")
        for _attempt in range(200):
            if self.bytes("devices").returncode == 0:
                return
        raise AssertionError("the server doesn't answer")

    @property
    def socket(self) -> str:
        """As adb's variable has it."""
        return f"tcp:{self.ADDRESS}:{self.port}"

    def close(self) -> None:
        """Ends the server."""
        super().close()
        self.server.wait(timeout=30)


def test_a_server_elsewhere_is_used_by_each_variable(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> None:
    host = ServerElsewhere(tmp_path_factory.mktemp("home"))
    by_address = {"ANDROID_ADB_SERVER_ADDRESS": host.ADDRESS, "ANDROID_ADB_SERVER_PORT": str(host.port)}
    try:
        for named in ({"ADB_SERVER_SOCKET": host.socket}, by_address):
            assert cli.json("devices", environment=named)["devices"] == []
            [adb] = [each for each in cli.json("doctor", environment=named)["checks"] if each["name"] == "adb"]
            assert f"with the server at {host.ADDRESS}:{host.port}" in adb["found"]
    finally:
        host.close()
    said = cli.refused(25, "devices", environment={"ADB_SERVER_SOCKET": host.socket})
    assert f"The adb server doesn't answer at {host.ADDRESS}:{host.port}" in said
    assert "unset ADB_SERVER_SOCKET" in said
