"""Whether a checkpoint may be uploaded: asked for once on a terminal, needs ``--allow-upload`` elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qnn_sd.ai_hub import HubService
from qnn_sd.artifact import sha256_of_json
from qnn_sd.cli.help import TARGET, option
from qnn_sd.console import Console
from qnn_sd.errors import UploadNotAllowedError
from qnn_sd.export.checkpoint import CheckpointIdentity

allow_upload_option = option(
    "--allow-upload",
    group=TARGET,
    is_flag=True,
    help="Upload what is made of your checkpoint without a question. The demo's is uploaded without one.",
)


@dataclass(frozen=True)
class Upload:
    """What is to be uploaded.

    Attributes:
        of: the checkpoint and what was put into it.
        kind: of files that are uploaded, such as ``context binaries``.
        components: whose they are.
        inputs: what else goes with them, such as ``recorded inputs``; empty for nothing.
    """

    of: CheckpointIdentity
    kind: str
    components: Sequence[str]
    inputs: str = ""

    @property
    def is_own(self) -> bool:
        """Whether anything in it is the user's, and not of this package's demo."""
        given = self.of.vae.kind not in ("kit", "checkpoint")
        return self.of.checkpoint.kind != "kit" or given or bool(self.of.loras or self.of.embeddings)

    @property
    def key(self) -> str:
        """What an answer is remembered by: the content of all that it is made from."""
        parts = [self.of.checkpoint.sha256, self.of.vae.sha256]
        parts += [f"{each.sha256} {each.scale}" for each in self.of.loras]
        return sha256_of_json([*parts, *(each.sha256 for each in self.of.embeddings)])

    @property
    def named(self) -> str:
        """For people."""
        further = [*(each.name for each in self.of.loras), *(each.name for each in self.of.embeddings)]
        return ", ".join([self.of.checkpoint.name, *further])

    @property
    def text(self) -> str:
        """For people."""
        files = f"{self.named}'s {self.kind} ({', '.join(self.components)})"
        return f"{files} and {self.inputs}" if self.inputs else files


def place_of(service: HubService) -> str:
    """Who answers, for people: the stand-in is never called AI Hub.

    Raises:
        HubServiceError: the service or network failed.
    """
    name = "a stand-in for AI Hub on this machine" if service.is_stand_in else "Qualcomm AI Hub"
    return f"{name} ({service.host})"


def short_name(service: HubService) -> str:
    """The same in two words.

    Raises:
        HubServiceError: the service or network failed.
    """
    return "the stand-in" if service.is_stand_in else "AI Hub"


def require_consent(service: HubService, upload: Upload, allowed: bool, console: Console) -> None:
    """Makes sure that an upload is wanted, and says what is used where. The answer holds for this content and account.

    What is there already isn't sent again, so the remark doesn't say that something is sent: uploads say so themselves.

    Args:
        service: the account.
        upload: what is to be uploaded.
        allowed: whether ``--allow-upload`` was typed.
        console: asks.

    Raises:
        HubServiceError: the service or network failed.
        UploadNotAllowedError: nobody has allowed it.
    """
    where = place_of(service)
    console.say(
        f"at {where}, with the account of {service.account_file}: {upload.text}; only what isn't there yet is sent"
    )
    if not upload.is_own or service.journal.is_allowed(upload.key):
        return
    if not allowed and not _asked(upload, where, console):
        raise UploadNotAllowedError(
            f"{upload.named} is not the demo, and nobody has allowed to upload what is made of it",
            why=f"{upload.text} would go to {where}.",
            hint="Add --allow-upload if you may upload it: its licence and AI Hub's terms say whether.",
        )
    service.journal.allow(upload.key, upload.named)


def _asked(upload: Upload, where: str, console: Console) -> bool:
    question = f"{upload.text} would go to {where}, with your account. Upload?"
    return console.can_ask and console.ask(question)
