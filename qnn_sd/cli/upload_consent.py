"""Whether a checkpoint may be uploaded: asked for once on a terminal, needs ``--allow-upload`` elsewhere."""

from __future__ import annotations

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
        what: is uploaded of it, such as ``the context binaries of text_encoder and unet``.
    """

    of: CheckpointIdentity
    what: str

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


def require_consent(service: HubService, upload: Upload, allowed: bool, console: Console) -> None:
    """Makes sure that an upload is wanted, and says what goes where. The answer holds for this content and account.

    Args:
        service: the account.
        upload: what is to be uploaded.
        allowed: whether ``--allow-upload`` was typed.
        console: asks.

    Raises:
        UploadNotAllowedError: nobody has allowed it.
    """
    where = f"Qualcomm AI Hub ({service.host})"
    console.say(f"to {where}, with the account of {service.account_file}: {upload.what} of {upload.named}")
    if not upload.is_own or service.journal.is_allowed(upload.key):
        return
    if not allowed and not _asked(upload, where, console):
        raise UploadNotAllowedError(
            f"{upload.named} is not the demo, and nobody has allowed to upload what is made of it",
            why=f"{upload.what[:1].upper()}{upload.what[1:]} would go to {where}.",
            hint="Add --allow-upload if you may upload it: its licence and AI Hub's terms say whether.",
        )
    service.journal.allow(upload.key, upload.named)


def _asked(upload: Upload, where: str, console: Console) -> bool:
    question = f"{upload.named}: {upload.what} would go to {where}, with your account. Upload?"
    return console.can_ask and console.ask(question)
