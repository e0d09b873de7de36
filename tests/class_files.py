"""Reads Java's class files as far as tests need: a class's parents, and the members that others may use.

The layout is chapter 4 of the Java Virtual Machine Specification.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PUBLIC, _PROTECTED = 0x0001, 0x0004
_UTF8, _LONG, _DOUBLE, _CLASS = 1, 5, 6, 7
# Bytes of a constant after its tag; a string's depend on its length.
_CONSTANT_BYTES = {
    3: 4,
    4: 4,
    5: 8,
    6: 8,
    7: 2,
    8: 2,
    9: 4,
    10: 4,
    11: 4,
    12: 4,
    15: 3,
    16: 2,
    17: 4,
    18: 4,
    19: 2,
    20: 2,
}


@dataclass(frozen=True)
class JavaClass:
    """A class of a library.

    Attributes:
        parents: its superclass and interfaces, as ``Lpackage/Name;``.
        members: name and descriptor of its public and protected fields and methods.
    """

    parents: tuple[str, ...]
    members: frozenset[tuple[str, str]]


class Library:
    """The classes of some jars.

    Args:
        jars: a class is taken from the first that has it.
    """

    def __init__(self, *jars: Path) -> None:
        self._jars = [zipfile.ZipFile(jar) for jar in jars]
        self._read: dict[str, JavaClass | None] = {}

    def find(self, name: str) -> JavaClass | None:
        """A class by its name ``Lpackage/Name;``."""
        if name not in self._read:
            entry = f"{name[1:-1]}.class"
            jar = next((jar for jar in self._jars if entry in jar.NameToInfo), None)
            self._read[name] = None if jar is None else read_class(jar.read(entry))
        return self._read[name]

    def close(self) -> None:
        """Closes the jars."""
        for jar in self._jars:
            jar.close()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(f">{layout}", self._data, self._at)
        self._at += struct.calcsize(f">{layout}")
        return values

    def skip(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]


def read_class(data: bytes) -> JavaClass:
    """The class of a file's bytes."""
    reader = _Reader(data)
    magic, _minor, _major, count = reader.take("IHHH")
    assert magic == 0xCAFEBABE
    texts, class_names = dict[int, str](), dict[int, int]()
    index = 1
    while index < count:
        [tag] = reader.take("B")
        if tag == _UTF8:
            texts[index] = reader.skip(reader.take("H")[0]).decode("utf-8", "surrogateescape")
        elif tag == _CLASS:
            [class_names[index]] = reader.take("H")
        else:
            reader.skip(_CONSTANT_BYTES[tag])
        # These two count twice.
        index += 2 if tag in (_LONG, _DOUBLE) else 1
    _flags, _name, superclass, interfaces = reader.take("HHHH")
    # Object's superclass has index 0.
    parents = [parent for parent in (superclass, *reader.take(f"{interfaces}H")) if parent]
    fields, methods = list(_members(reader, texts)), list(_members(reader, texts))
    return JavaClass(tuple(f"L{texts[class_names[parent]]};" for parent in parents), frozenset(fields + methods))


def _members(reader: _Reader, texts: dict[int, str]) -> Iterator[tuple[str, str]]:
    for _member in range(reader.take("H")[0]):
        flags, name, descriptor, attributes = reader.take("HHHH")
        for _attribute in range(attributes):
            reader.skip(reader.take("HI")[1])
        if flags & (_PUBLIC | _PROTECTED):
            yield texts[name], texts[descriptor]
