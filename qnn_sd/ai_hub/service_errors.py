"""What AI Hub's client raises, as errors to act on.

The client turns an answer's status into text. The exception with the status stays behind it, as its cause or context.
"""

from __future__ import annotations

import errno
import json
import re
import shlex
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

from qnn_sd.ai_hub.configuration import PATH_VARIABLE, SERVICE_URL, Configuration
from qnn_sd.errors import HubAccountError, HubDeviceError, HubServiceError, OutputError, QnnSdError
from qnn_sd.in_words import shown
from qnn_sd.installation import install_extra
from qnn_sd.network_reasons import network_reason

_TEXT_LETTERS, _PAGE_LETTERS = 300, 80
_GIVEN_UP = re.compile(r"too many (\d{3}) error responses")
# Where AI Hub's storage is S3, the client moves files with these.
_STORAGE_PACKAGES = ("botocore", "boto3", "s3transfer")
_QUOTA = re.compile(
    r"quota|too many (running|active|pending)|limit (reached|exceeded)|(exceeded|reached) .*limit", re.I
)
TRANSIENT = frozenset({500, 502, 503, 504})


class Failure:
    """One failed call of the client.

    Args:
        raised: by the client.
        doing: what was tried, after "can't": ``upload unet to AI Hub``.
        account: whose token is hidden.

    Attributes:
        status: HTTP's, or None where no answer came.
        text: what the service said.
    """

    def __init__(self, raised: BaseException, doing: str, account: Configuration) -> None:
        self.raised, self.doing, self._account = raised, doing, account
        _hide_token(raised, account)
        self.status = next((status for each in _chain(raised) if (status := _status(each))), None)
        self.text = account.token.hidden_in(_said(raised))

    @property
    def is_rate_limit(self) -> bool:
        """Whether the service asked for patience."""
        return self.status == 429 and not self.is_quota

    @property
    def is_quota(self) -> bool:
        """Whether the account's allowance is used up."""
        return self.status in (400, 402, 403, 409, 429) and bool(_QUOTA.search(self.text))

    @property
    def is_missing(self) -> bool:
        """Whether there is no such thing at the service."""
        return self.status == 404

    @property
    def may_pass(self) -> bool:
        """Whether it may succeed when it is tried again: a lost connection, or an error of the service's own."""
        return self.status in TRANSIENT or (self.status is None and self._is_of_the_network)

    @property
    def is_of_no_stand_in(self) -> bool:
        """Whether the service is to be on this machine, and nothing listens there."""
        through_proxy = any(type(each).__name__ == "ProxyError" for each in _chain(self.raised))
        refused = any(re.search("Connection refused|Errno 111", str(each)) for each in _chain(self.raised))
        return self.status is None and self._account.is_loopback and refused and not through_proxy

    @property
    def _is_of_the_network(self) -> bool:
        return any(_module(each) in ("requests", "urllib3", *_STORAGE_PACKAGES) for each in _chain(self.raised))

    def error(self) -> QnnSdError:
        """The failure as it is told."""
        by_status = self._of_account() or self._of_limits()
        if by_status is not None:
            return by_status
        if self.status is not None:
            return self._of_answer()
        return self._of_client() or self._of_network()

    def _of_account(self) -> QnnSdError | None:
        path = self._account.path
        if self.status == 401:
            return HubAccountError(
                f"AI Hub doesn't know the API token in {path}",
                why="It is mistyped, or has expired.",
                hint=f"Copy the token of the account's page at {self._account.web_url} into the file, or name another "
                f"one with {PATH_VARIABLE}.",
            )
        if self.status == 426:
            return HubAccountError(
                "AI Hub no longer takes this version of its client", why=self.text, hint=f"{install_extra('hub')}."
            )
        if self.status == 403 and not self.is_quota:
            return HubAccountError(
                f"Can't {self.doing}: this account isn't allowed to",
                why=self.text,
                hint=f"Open {self._account.web_url} with the account of {path}: it may have to accept terms, or lack a "
                "permission that its organization gives.",
            )
        return None

    def _of_limits(self) -> QnnSdError | None:
        what = f"Can't {self.doing}"
        if self.status == 413:
            return HubServiceError(
                f"{what}: it is larger than AI Hub takes",
                why=self.text,
                hint="Build a smaller size, or fewer sizes in one binary: --size.",
            )
        if self.is_quota:
            return HubServiceError(
                f"{what}: the account's quota is used up",
                why=self.text,
                hint="qnn-sd hub jobs lists its jobs: wait until they have ended, and run the command again.",
            )
        if self.status == 429:
            return HubServiceError(
                f"{what}: AI Hub asks for fewer requests",
                why=self.text,
                hint="Run the command again in some minutes: what was uploaded and submitted is found again.",
            )
        return None

    def _of_answer(self) -> QnnSdError:
        what = f"Can't {self.doing}"
        if self.status is not None and self.status < HTTPStatus.BAD_REQUEST:
            return HubServiceError(
                f"{what}: {self._account.host} doesn't answer as AI Hub does",
                why="The page of a proxy, of a network's login, or of another service was in the answer.",
                hint=f"Check api_url in {self._account.path} ({SERVICE_URL} is AI Hub's), and HTTPS_PROXY.",
            )
        if self.status in TRANSIENT:
            return HubServiceError(
                what,
                why=f"AI Hub answers with an error of its own, {self.status}, repeatedly. {self.text}".strip(),
                hint=f"Look at {self._account.web_url}, and run the command again later: it goes on from here.",
            )
        return HubServiceError(
            what,
            why=f"AI Hub answered {self.status}: {self.text or 'no reason given'}",
            hint=f"Look at {self._account.web_url}; if you can't tell why, report it with what --debug prints.",
        )

    def _of_client(self) -> QnnSdError | None:
        """What the client found before it sent anything, or in an answer that it can't use."""
        raised = self.raised
        if isinstance(raised, AssertionError) and "ETag" in str(raised):
            return HubServiceError(
                f"Can't {self.doing}: the answer of AI Hub's storage has no ETag",
                why="A proxy in between removes that header; without it an upload can't be completed.",
                hint="Run the command without the proxy (unset HTTPS_PROXY), or let the proxy pass the header ETag.",
            )
        if "is not available" in str(raised) and _module(raised) == "qai_hub":
            return HubDeviceError(
                f"Can't {self.doing}: the device is gone",
                why=self.text,
                hint="qnn-sd hub devices lists the devices that there are.",
            )
        if isinstance(raised, OSError) and raised.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            return OutputError(
                f"Can't {self.doing}: no file can be written",
                why=raised.strerror or self.text,
                hint="Free some space; TMPDIR names the folder that AI Hub's client writes to first.",
            )
        if not self._is_of_the_network:
            return HubServiceError(
                f"Can't {self.doing}: AI Hub's client gave up",
                why=self.text or type(raised).__name__,
                hint="Run the command again; if it stays so, report it with what --debug prints.",
            )
        return None

    def _of_network(self) -> QnnSdError:
        if self.is_of_no_stand_in:
            folder = shlex.quote(str(self._account.path.parent))
            return HubServiceError(
                f"Can't {self.doing}: the stand-in for AI Hub isn't running",
                why=f"Nothing listens at {self._account.host}, the address in {self._account.path}.",
                hint=f"Start it in another terminal: qnn-sd hub stand-in --folder {folder}; then run the command "
                "again: it finds what was submitted.",
            )
        host = next((each for each in map(_host, _chain(self.raised)) if each), self._account.host)
        host = self._account.token.hidden_in(host)
        return HubServiceError(
            f"Can't {self.doing}: {host} can't be reached, or the connection was lost",
            why=self._account.token.hidden_in(network_reason(map(str, _chain(self.raised))) or _said(self.raised)),
            hint=f"Check the connection and HTTPS_PROXY, or see whether {SERVICE_URL} answers; then run the command "
            "again: it goes on where this one stopped.",
        )


def _chain(raised: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = raised
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _hide_token(raised: BaseException, account: Configuration) -> None:
    """A service that quotes the token in its answer: the client's exceptions are shown by ``--debug``."""
    for each in _chain(raised):
        each.args = tuple(account.token.hidden_in(part) if isinstance(part, str) else part for part in each.args)


def _status(each: BaseException) -> int | None:
    """HTTP's status of an answer, also of one that was asked for too often."""
    status = getattr(each, "status_code", None)
    if type(each).__name__ == "APIException" and isinstance(status, int):
        return status
    # urllib3 keeps only this text of the answers that it gave up on.
    given_up = _GIVEN_UP.search(str(each))
    return int(given_up[1]) if given_up else None


def _module(each: BaseException) -> str:
    return type(each).__module__.partition(".")[0]


def _said(raised: BaseException) -> str:
    """What the service said, in one line: of its JSON the detail, of a page the text."""
    answer = next((each for each in _chain(raised) if type(each).__name__ == "APIException"), raised)
    # The client's own words for an error of the service name neither.
    text = "" if type(answer).__name__ == "InternalError" else str(answer)
    try:
        content = json.loads(text)
        text = str(content.get("detail", text)) if isinstance(content, dict) else text
    except ValueError:
        pass
    if _GIVEN_UP.search(text):
        return ""  # urllib3's words for a status that is told anyhow
    is_page = re.search(r"<!doctype|<html|<body", text, re.I)
    if is_page:
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.I | re.S)
        text = title[1] if title else re.sub(r"<(head|script|style)\b.*?</\1>", " ", text, flags=re.I | re.S)
    plain = re.sub(r"<[^>]*>|[|┌┐└┘─]", " ", text)
    return shown(" ".join(_without_queries(plain).split()), _PAGE_LETTERS if is_page else _TEXT_LETTERS)


def _without_queries(text: str) -> str:
    """Addresses without names and passwords, and without signatures, which give access to what they sign."""
    return re.sub(r"(https?://)(?:[^\s/@]*@)?([^\s?'\")]+)(?:\?[^\s'\")]+)?", r"\1\2", text)


def _host(each: BaseException) -> str:
    request = getattr(each, "request", None)
    return urlsplit(getattr(request, "url", "") or "").netloc.rpartition("@")[2]
