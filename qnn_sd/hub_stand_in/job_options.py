"""The options of a job: the words that AI Hub documents, and which of them the stand-in acts on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from qai_hub import public_api_pb2 as api

from qnn_sd.hub_stand_in.refusals import JobFailed, RequestRefused
from qnn_sd.toolchain import release

# Which of them have a value.
_FLAGS = {
    *("--quantize_io", "--truncate_64bit_io", "--truncate_64bit_tensors", "--dequantize_outputs"),
}
_VALUES = {
    *("--target_runtime", "--qairt_version", "--compute_unit", "--qnn_graph_name", "--qnn_options"),
    *("--qnn_context_binary_vtcm", "--qnn_context_binary_optimization_level", "--max_profiler_iterations"),
    *("--force_channel_last_input", "--force_channel_last_output", "--output_names", "--quantize_full_type"),
    *("--quantize_weight_type",),
}
# Would change the result, and the local compiler has no such thing.
_NOT_HERE = {
    *("--quantize_io", "--force_channel_last_input", "--force_channel_last_output"),
    *("--quantize_full_type", "--quantize_weight_type", "--truncate_64bit_tensors"),
}


@dataclass(frozen=True)
class JobOptions:
    """What a job was told.

    Attributes:
        values: of options with one, by name.
        flags: those without.
    """

    values: dict[str, str]
    flags: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> JobOptions:
        """Reads a job's options.

        Raises:
            RequestRefused: one is unknown or lacks its value (400).
        """
        try:
            words = [part for word in shlex.split(text) for part in _parted(word)]
        except ValueError as error:
            raise RequestRefused(400, f"Invalid options: {error}") from error
        values: dict[str, str] = {}
        flags: set[str] = set()
        while words:
            word = words.pop(0)
            if word in _FLAGS:
                flags.add(word)
            elif word in _VALUES and words and not words[0].startswith("--"):
                values[word] = words.pop(0)
            else:
                raise RequestRefused(400, f"Invalid options: {word}")
        return cls(values, frozenset(flags))

    @property
    def target_runtime(self) -> str:
        """What a compile job makes."""
        return self.values.get("--target_runtime", "qnn_context_binary")

    def number(self, name: str, otherwise: str | None = None) -> int | None:
        """An option's whole number; None where neither it nor ``otherwise`` is given.

        Raises:
            JobFailed: it is none.
        """
        value = self.values.get(name, otherwise)
        if value is not None and not value.isdecimal():
            raise JobFailed(api.JOB_FAILURE_TYPE_INVALID_ARGUMENT, f"{name} {value} is no number.")
        return None if value is None else int(value)

    @property
    def qnn(self) -> dict[str, str]:
        """The values of ``--qnn_options``, by name."""
        pairs = (pair.partition("=") for pair in self.values.get("--qnn_options", "").split(";"))
        return {name: value for name, _, value in pairs if name}

    def graph_name(self) -> str | None:
        """The graph of a binary that is meant, or None."""
        return self.qnn.get("context_enable_graphs") or self.values.get("--qnn_graph_name")

    def level(self) -> int | None:
        """The compiler's optimization level; None where it isn't given.

        Raises:
            JobFailed: it is no number.
        """
        settings = self.qnn.get("default_graph_htp_optimizations", "").split(",")
        given = next((each.removeprefix("O=") for each in settings if each.startswith("O=")), None)
        return self.number("--qnn_context_binary_optimization_level", given)

    def vtcm_mb(self) -> int | None:
        """On-chip memory that a binary may take, MB; None where it isn't given.

        Raises:
            JobFailed: it is no number.
        """
        return self.number("--qnn_context_binary_vtcm", self.qnn.get("default_graph_htp_vtcm_size"))

    def check(self, qairt: str) -> None:
        """Refuses what the stand-in doesn't have.

        Args:
            qairt: the version that it has.

        Raises:
            JobFailed: another QAIRT version, or an option that it would have to act on and can't.
        """
        asked = self.values.get("--qairt_version", "default")
        if asked not in ("default", "latest") and not _is_version(asked, qairt):
            here = ".".join(map(str, release(qairt)))
            raise JobFailed(
                api.JOB_FAILURE_TYPE_INVALID_ARGUMENT,
                f"QAIRT version {asked} is not available. Available versions: {here}.",
            )
        if self.values.get("--compute_unit", "npu") not in ("npu", "all"):
            raise JobFailed(
                api.JOB_FAILURE_TYPE_UNSUPPORTED, "The stand-in has no compute unit but the NPU's emulator."
            )
        if others := sorted((self.flags | self.values.keys()) & _NOT_HERE):
            raise JobFailed(
                api.JOB_FAILURE_TYPE_UNSUPPORTED, f"The stand-in doesn't do what {', '.join(others)} asks for."
            )


def _parted(word: str) -> list[str]:
    """``--name=value`` as two words."""
    name, equals, value = word.partition("=")
    return [name, value] if word.startswith("--") and equals else [word]


def _is_version(asked: str, qairt: str) -> bool:
    try:
        parts = tuple(int(part) for part in asked.split("."))
    except ValueError:
        return False
    return len(parts) >= 2 and parts[:2] == release(qairt)


def only_file(folder: Path, suffix: str) -> Path:
    """The one file with a suffix in a folder."""
    [path] = folder.glob(f"*{suffix}")
    return path
