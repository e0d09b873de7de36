"""The account at AI Hub: its file, its client, and what the service says of both. The token never shows."""

from __future__ import annotations

import pickle
import socket
import time
import traceback
from pathlib import Path
from unittest.mock import patch

import pytest

from qnn_sd.ai_hub import HubService, client_package
from qnn_sd.ai_hub.configuration import Token, configuration_path, read_configuration
from qnn_sd.ai_hub.service_errors import Failure
from qnn_sd.console import Console
from qnn_sd.errors import HubAccountError, HubServiceError, QnnSdError
from qnn_sd.hub_stand_in import Faults, StandIn, StatusFault

TOKEN = "abcdef0123456789secret"
URL = "https://workbench.aihub.qualcomm.com"
WHOLE = f"[api]\napi_token = {TOKEN}\napi_url = {URL}\nweb_url = {URL}\n"


@pytest.fixture
def ini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "client.ini"
    monkeypatch.setenv("QAIHUB_CLIENT_INI", str(path))
    return path


def hidden(raised: pytest.ExceptionInfo[QnnSdError]) -> QnnSdError:
    """The error; neither it nor its traceback shows the token."""
    shown = "".join(traceback.format_exception(raised.value))
    assert TOKEN not in shown
    return raised.value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "has no api_url and no web_url and no api_token"),
        (WHOLE.replace("web_url", "web"), "has no web_url in its section [api]"),
        (WHOLE.replace("[api]", "[hub]"), "has no api_url"),
        (WHOLE.replace(TOKEN, ""), "has an empty api_token"),
        (WHOLE.replace(TOKEN, f"{TOKEN} {TOKEN}"), "with a space"),
        (WHOLE.replace(TOKEN, f"{TOKEN}\u2026"), "with a space or another character"),
        (WHOLE.replace(f"api_url = {URL}", "api_url = workbench"), "no plain web address as its api_url"),
        (WHOLE.replace(f"web_url = {URL}", "web_url = https://me:word@host"), "no plain web address as its web_url"),
        (f"{TOKEN}\n", "is no ini file"),
        (f"[api]\napi_token {TOKEN}\n", "is no ini file"),
        (b"\xff\xfe" + TOKEN.encode(), "is no ini file"),
        (WHOLE + f"api_token = {TOKEN}\n", "is no ini file"),
    ],
)
def test_a_file_that_says_no_account_is_one_sentence(ini: Path, content: str | bytes, said: str) -> None:
    ini.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(HubAccountError) as raised:
        read_configuration(Console())
    error = hidden(raised)
    assert said in error.why
    assert str(ini) in error.what
    assert f"api_url = {URL}" in error.hint


def test_a_file_that_is_not_there_or_not_for_reading(ini: Path) -> None:
    with pytest.raises(HubAccountError, match="doesn't exist") as absent:
        read_configuration(Console())
    assert absent.value.hint.endswith("To try it without an account: qnn-sd hub stand-in.")
    ini.mkdir()
    with pytest.raises(HubAccountError, match="can't be read") as raised:
        read_configuration(Console())
    assert raised.value.why == "Is a directory"


def test_the_file_is_where_the_client_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from qai_hub import api_utils

    for value in (None, str(tmp_path / "one.ini"), "~/two.ini"):
        if value is None:
            monkeypatch.delenv("QAIHUB_CLIENT_INI", raising=False)
        else:
            monkeypatch.setenv("QAIHUB_CLIENT_INI", value)
        assert str(configuration_path()) == api_utils.get_config_path()


def test_what_is_read_is_what_the_client_reads(ini: Path) -> None:
    from qai_hub import api_utils

    ini.write_text(WHOLE + "default_project = p1\n", "utf-8")
    ours, theirs = read_configuration(Console()), api_utils.load_default_api_config()
    assert (ours.api_url, ours.web_url, ours.token.reveal(), ours.project) == (
        *(theirs.api_url, theirs.web_url, theirs.api_token, theirs.default_project),
    )


def test_the_former_host_is_warned_of(ini: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ini.write_text(WHOLE.replace(URL, "https://app.aihub.qualcomm.com"), "utf-8")
    read_configuration(Console(quiet=True))
    assert f"Write api_url = {URL} into it" in capsys.readouterr().err.replace("\n", " ")


def test_an_address_without_encryption_is_warned_of(ini: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for address, warned in (("http://hub.example", True), ("http://127.0.0.1:1", False)):
        ini.write_text(WHOLE.replace(f"api_url = {URL}", f"api_url = {address}"), "utf-8")
        read_configuration(Console())
        assert ("without encryption" in capsys.readouterr().err) == warned


def test_an_answer_that_quotes_the_token_shows_it_nowhere(ini: Path) -> None:
    from qai_hub.public_rest_api import APIException

    ini.write_text(WHOLE, "utf-8")
    account = read_configuration(Console())
    answer = APIException(f"No {TOKEN} here, see https://me:word@proxy.example/x?sig=1", 400)
    error = Failure(answer, "upload unet to AI Hub", account).error()
    error.__cause__ = answer
    assert TOKEN not in "".join(traceback.format_exception(error))
    assert error.why == "AI Hub answered 400: No [API token] here, see https://proxy.example/x"


def test_the_page_of_a_portal_is_not_taken_for_the_service(ini: Path) -> None:
    from qai_hub.public_rest_api import APIException

    ini.write_text(WHOLE, "utf-8")
    error = Failure(APIException(None, 200), "list AI Hub's devices", read_configuration(Console())).error()
    assert "workbench.aihub.qualcomm.com doesn't answer as AI Hub does" in error.what


def test_the_token_shows_nowhere(ini: Path) -> None:
    ini.write_text(WHOLE, "utf-8")
    account = read_configuration(Console())
    assert TOKEN not in f"{account!r} {account} {account.token} {account.token!r} {account.account_key}"
    assert account.token.hidden_in(f"Invalid token {TOKEN}.") == "Invalid token [API token]."
    with pytest.raises(TypeError):
        pickle.dumps(Token(TOKEN))


def test_a_client_that_is_missing_or_too_old() -> None:
    with (
        patch.object(client_package.metadata, "version", side_effect=client_package.metadata.PackageNotFoundError),
        pytest.raises(HubAccountError, match="isn't installed") as raised,
    ):
        client_package.require_client()
    assert raised.value.hint.startswith("pip install ")
    assert "hub" in raised.value.hint
    with (
        patch.object(client_package.metadata, "version", return_value="0.50.0"),
        pytest.raises(HubAccountError, match=r"0\.50\.0 is too old") as old,
    ):
        client_package.require_client()
    assert "0.56.0" in old.value.why
    with patch.dict("sys.modules", {"qai_hub": None}), pytest.raises(HubAccountError, match="can't be imported"):
        client_package.require_client()


# What the service says of an account. Waits are not waited.


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (Faults(wrong_token=True), HubAccountError, "doesn't know the API token in"),
        (Faults(statuses=(StatusFault(403),)), HubAccountError, "isn't allowed to"),
        (Faults(statuses=(StatusFault(426),)), HubAccountError, "no longer takes this version of its client"),
        (Faults(statuses=(StatusFault(500),)), HubServiceError, "answers with an error of its own, 500, repeatedly"),
        (Faults(statuses=(StatusFault(429),), retry_after=3600), HubServiceError, "wants a pause of 60 min"),
    ],
)
@pytest.mark.usefixtures("waits")
def test_what_the_service_says_of_an_account(
    hub: StandIn, tmp_path: Path, fault: Faults, error: type[QnnSdError], said: str
) -> None:
    hub.set_faults(fault)
    with pytest.raises(error) as raised:
        HubService.open(tmp_path / "cache", Console())
    assert said in f"{raised.value.what} {raised.value.why}"
    token = hub.client_ini.read_text("utf-8").partition("api_token = ")[2].split()[0]
    assert token not in "".join(traceback.format_exception(raised.value))


def test_a_short_pause_is_waited(
    hub: StandIn, tmp_path: Path, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    hub.set_faults(Faults(statuses=(StatusFault(429, times=2),), retry_after=7))
    assert HubService.open(tmp_path / "cache", Console()).is_stand_in
    assert waits == [7.0, 7.0]
    assert "AI Hub asks for fewer requests: trying again in 7 s" in capsys.readouterr().err


def test_no_network_is_said_at_once(ini: Path, tmp_path: Path, waits: list[float]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ini.write_text(WHOLE.replace(URL, f"http://127.0.0.1:{unused.getsockname()[1]}"), "utf-8")
        with pytest.raises(HubServiceError) as raised:
            HubService.open(tmp_path / "cache", Console())
    assert "the stand-in for AI Hub isn't running" in hidden(raised).what
    assert f"qnn-sd hub stand-in --folder {ini.parent};" in raised.value.hint
    assert len(waits) < 4


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Failed to establish a new connection: [Errno 111] Connection refused", "The connection is refused."),
        ("Failed to resolve 'h' ([Errno -3] Temporary failure in name resolution)", "Its name can't be resolved."),
    ],
)
def test_a_service_elsewhere_that_is_not_reached(ini: Path, said: str, why: str) -> None:
    import requests

    ini.write_text(WHOLE, "utf-8")
    raised = requests.exceptions.ConnectionError(f"HTTPSConnectionPool(host='h', port=443): {said}")
    error = Failure(raised, "ask AI Hub for the account", read_configuration(Console())).error()
    assert "workbench.aihub.qualcomm.com can't be reached" in error.what
    assert error.why == why
    assert "HTTPS_PROXY" in error.hint
