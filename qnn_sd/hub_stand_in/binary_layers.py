"""The names of the ops in a context binary, for the layers of a profile.

QNN's library doesn't tell them; the binary has them in a table near its end, in the form of flatbuffers: a number, the
distance to the text, its length, the text. As QAIRT 2.48 to 2.51 write it; of any other binary nothing is found.
"""

from __future__ import annotations

import re
from pathlib import Path

from qnn_sd.hub_stand_in.profile_figures import Layer

# Names of several thousand ops, and what comes after them.
_LAST_BYTES = 8 * 2**20
_DISTANCE = b"\x04\x00\x00\x00"
_NAME = re.compile(_DISTANCE + rb"([\x01-\xff][\x00-\x01])\x00\x00([\x21-\x7e]{2,511})\x00")
# The compiler's, where an op has several parts.
_PART = re.compile(r"_token_\d+$")
# Of a node that was named after its kind.
_KIND = re.compile(r"(?:^|[./])([A-Z][A-Za-z]+)$")


def layers_of_binary(content: bytes) -> list[Layer]:
    """The ops of a context binary, in its order; a kind only where the name has it.

    Args:
        content: of it, or its last part.
    """
    found = []
    for match in _NAME.finditer(content):
        if int.from_bytes(match[1], "little") == len(match[2]):
            name = _PART.sub("", match[2].decode())
            kind = _KIND.search(name)
            found.append(Layer(name, kind[1] if kind else "Op"))
    return found[::-1]


def last_part(path: Path, start: int, size: int) -> bytes:
    """The end of a context binary in a file.

    Args:
        path: the file.
        start: where in it the binary begins, in bytes.
        size: its bytes.
    """
    with path.open("rb") as file:
        file.seek(start + max(0, size - _LAST_BYTES))
        return file.read(min(size, _LAST_BYTES))
