"""A failure as JSON: a document of its own, or the ``error`` of a command that found something before it failed."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from qnn_sd.config import StrictModel
from qnn_sd.errors import QnnSdError
from qnn_sd.schemas import Document


class ErrorDetail(StrictModel):
    """What failed, why, and what to do next.

    Attributes:
        code: the command's exit code.
        name: of the kind of failure, as docs/errors.md lists it.
        what: what failed, in one sentence without a final full stop.
        why: the cause as far as it is known; may be empty.
        kept: what the command had finished before, a phrase each; only of failures of a phone, and of a command that
            was stopped.
        next: what to type or change next.
    """

    code: int
    name: str
    what: str
    why: str
    kept: list[str]
    next: str

    @classmethod
    def of(cls, error: QnnSdError) -> Self:
        """The failure that an error tells of."""
        return cls(
            code=error.exit_code,
            name=type(error).__name__,
            what=error.what,
            why=error.why,
            kept=list(error.kept),
            next=error.hint,
        )


class ErrorDocument(Document):
    """The only document of a command that failed before it had a result.

    Attributes:
        error: the failure.
    """

    schema_id: Literal["qnn-sd/error/1"] = Field("qnn-sd/error/1", alias="schema")
    error: ErrorDetail
