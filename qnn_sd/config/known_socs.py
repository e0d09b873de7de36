"""Every SoC that the QNN compiler knows: ``known_socs.toml``, written by ``tools/soc_table.py``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qnn_sd.config.toml_file import StrictModel, read_toml

KNOWN_SOCS_FILE = Path(__file__).with_name("known_socs.toml")
HtpArch = Literal[68, 69, 73, 75, 79, 81, 85]
_Megabytes = Annotated[int, Field(ge=1, le=64)]


class KnownSoc(StrictModel):
    """One SoC, as the compiler knows it.

    Attributes:
        soc_model: QNN's number of the SoC.
        name: its part number, upper-case.
        htp_arch: the Hexagon architecture of the chip, which its libraries are for; None for a SoC without an HTP.
        compiled_arch: the one that this compiler writes code for. Differs where the compiler takes its default.
        vtcm_mb: on-chip memory of the HTP; None for a SoC without one.
        fp16: whether the HTP computes float graphs in fp16.
        estimates: whether the compiler estimates how long a graph takes.
        note: what other sources say otherwise.
    """

    soc_model: int
    name: str
    htp_arch: HtpArch | None = None
    compiled_arch: HtpArch | None = None
    vtcm_mb: _Megabytes | None = None
    fp16: bool = False
    estimates: bool = False
    note: str = ""


class _Note(StrictModel):
    """Where sources disagree, by number; ``htp_arch`` where the chip's is another than the compiler's."""

    soc_model: int
    htp_arch: HtpArch | None = None
    text: str


class _KnownSocs(StrictModel):
    qairt: str
    socs: tuple[KnownSoc, ...]
    notes: tuple[_Note, ...] = ()

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        numbers, names = [each.soc_model for each in self.socs], [each.name for each in self.socs]
        if numbers != sorted(set(numbers)) or len(set(names)) != len(names):
            raise ValueError("the SoCs are not in order of their numbers, or one is there twice")
        if lost := [each.soc_model for each in self.notes if each.soc_model not in numbers]:
            raise ValueError(f"notes of numbers that are not in the table: {lost}")
        return self


@functools.cache
def known_socs() -> dict[int, KnownSoc]:
    """All of them, by ``soc_model``.

    Raises:
        ConfigError: the file doesn't follow its schema.
    """
    content = read_toml(KNOWN_SOCS_FILE, _KnownSocs)
    notes = {each.soc_model: each for each in content.notes}
    found = {}
    for soc in content.socs:
        note = notes.get(soc.soc_model)
        said = {"compiled_arch": soc.htp_arch, "note": note.text if note else ""}
        if note and note.htp_arch:
            said["htp_arch"] = note.htp_arch
        found[soc.soc_model] = soc.model_copy(update=said)
    return found


def known_soc(soc_model: int) -> KnownSoc | None:
    """The SoC that a number is; None for a number that the compiler doesn't know."""
    return known_socs().get(soc_model)


def soc_named(name: str) -> KnownSoc | None:
    """The SoC of a part number, in any case; None for one that the compiler doesn't know."""
    return next((each for each in known_socs().values() if each.name == name.upper()), None)
