"""Every SoC that the QNN compiler knows: ``known_socs.toml``, written by ``tools/soc_table.py``."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qnn_sd.config.toml_file import StrictModel, read_toml

KNOWN_SOCS_FILE = Path(__file__).with_name("known_socs.toml")
HtpArch = Literal[68, 69, 73, 75, 79, 81, 85]
_Megabytes = Annotated[int, Field(ge=1, le=64)]
# Of a variant: soc_names.without_variant says what they are.
_SUFFIX = re.compile(r"(?<=\d)-?(A[A-Z]|P)$")


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

    @property
    def described(self) -> str:
        """For people, such as ``SM8750, an HTP v79``."""
        return f"{self.name}, {'without an HTP' if self.htp_arch is None else f'an HTP v{self.htp_arch}'}"


class _Note(StrictModel):
    """Where sources disagree, by number; ``htp_arch`` where the chip's is another than the compiler's."""

    soc_model: int
    htp_arch: HtpArch | None = None
    text: str


class _KnownSocs(StrictModel):
    """The file.

    Attributes:
        qairt: of the compiler.
        socs: what it says, in order of their numbers.
        notes: where others say otherwise.
        parts: other part numbers, with the compiler's number of each.
        titles: names on the box by part number, the usual one first, of SoCs that no shipped profile is for.
    """

    qairt: str
    socs: tuple[KnownSoc, ...]
    notes: tuple[_Note, ...] = ()
    parts: dict[str, int] = Field(default_factory=dict)
    titles: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        numbers, names = [each.soc_model for each in self.socs], [each.name for each in self.socs]
        if numbers != sorted(set(numbers)) or len(set(names)) != len(names):
            raise ValueError("the SoCs are not in order of their numbers, or one is there twice")
        if lost := {*(each.soc_model for each in self.notes), *self.parts.values()} - set(numbers):
            raise ValueError(f"notes and parts of numbers that are not in the table: {sorted(lost)}")
        return self


@functools.cache
def _content() -> _KnownSocs:
    return read_toml(KNOWN_SOCS_FILE, _KnownSocs)


@functools.cache
def known_socs() -> dict[int, KnownSoc]:
    """All of them, by ``soc_model``.

    Raises:
        ConfigError: the file doesn't follow its schema.
    """
    content = _content()
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


def known_qairt() -> str:
    """Version of the compiler that was asked."""
    return _content().qairt


def soc_named(name: str) -> KnownSoc | None:
    """The SoC of a part number, such as ``SM8845`` or ``SM8845P``; None for one that the compiler doesn't know.

    Args:
        name: in any case, with or without the letters of a variant.
    """
    numbers = {each.name: number for number, each in known_socs().items()} | _content().parts
    whole = name.strip().upper()
    # A whole name comes before one without its suffix: SA8255P is listed, SM8845P is not.
    number = next((numbers[each] for each in (whole, _SUFFIX.sub("", whole)) if each in numbers), None)
    return None if number is None else known_soc(number)


def titles() -> dict[str, tuple[str, ...]]:
    """Names on the box by part number, the usual one first, of SoCs that no shipped profile is for."""
    return _content().titles
