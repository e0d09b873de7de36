"""What the HTP compiler tells of a graph's memory traffic, read off its verbose log."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SUMMARY = "DDR bandwidth summary"
_FIGURE = re.compile(r"\b(spill_bytes|fill_bytes|write_total_bytes|read_total_bytes)=(\d+)")
_SPILL_BUFFER = re.compile(r"\bspillFillBufferSizes=(\d+)")
_PARTS = re.compile(r"thread\(s\) for (\d+) split\(s\)")


@dataclass
class Traffic:
    """Bytes to and from DDR in one call of a graph, all parts of a split one added up.

    Attributes:
        read: all bytes read, weights and fills included.
        written: all bytes written, spills included.
        spilled: activations written because the on-chip memory was full.
        filled: activations read back.
        spill_buffer: bytes of DDR set aside for spilled activations.
        summaries: how many parts the compiler told of.
        parts: how many parts there are; 1 for a graph that wasn't split.
    """

    read: int = 0
    written: int = 0
    spilled: int = 0
    filled: int = 0
    spill_buffer: int = 0
    summaries: int = 0
    parts: int = 1

    @property
    def total(self) -> int:
        """Bytes read and written."""
        return self.read + self.written

    @property
    def complete(self) -> bool:
        """Whether every part was told of (with several prepare threads some are not)."""
        return self.summaries == self.parts


@dataclass
class TrafficReader:
    """Collects the traffic from the log, line by line."""

    found: Traffic = field(default_factory=Traffic)

    def __call__(self, line: str) -> None:
        """Takes one line of the log."""
        if _SUMMARY in line:
            self.found.summaries += 1
        for name, digits in _FIGURE.findall(line):
            value = int(digits)
            match name:
                case "spill_bytes":
                    self.found.spilled += value
                case "fill_bytes":
                    self.found.filled += value
                case "write_total_bytes":
                    self.found.written += value
                case _:
                    self.found.read += value
        if match := _SPILL_BUFFER.search(line):
            self.found.spill_buffer += int(match[1])
        if match := _PARTS.search(line):
            self.found.parts = int(match[1])
