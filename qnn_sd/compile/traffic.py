"""What the HTP compiler tells of a graph's memory traffic, read off its verbose log."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SUMMARY = "DDR bandwidth summary"
_FIGURE = re.compile(r"\b(spill_bytes|fill_bytes|write_total_bytes|read_total_bytes)=(\d+)")
_SPILL_BUFFER = re.compile(r"\bspillFillBufferSizes=(\d+)")


@dataclass
class Traffic:
    """Bytes to and from DDR in one call of a graph.

    Attributes:
        read: all bytes read, weights and fills included.
        written: all bytes written, spills included.
        spilled: activations written because the on-chip memory was full.
        filled: activations read back.
        spill_buffer: bytes of DDR set aside for spilled activations.
        summaries: how often the compiler told; once, unless its log has another form than it had.
    """

    read: int = 0
    written: int = 0
    spilled: int = 0
    filled: int = 0
    spill_buffer: int = 0
    summaries: int = 0

    @property
    def total(self) -> int:
        """Bytes read and written."""
        return self.read + self.written

    @property
    def complete(self) -> bool:
        """Whether that is the traffic of the one graph."""
        return self.summaries == 1


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
