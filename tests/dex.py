"""Reads Android's dex files as far as tests need: classes, their methods, and what each method refers to.

The layout is AOSP's "Dalvik executable format" and "Dalvik bytecode format", version 038.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

INVOKE_POLYMORPHIC = {0xFA, 0xFB}
INVOKE_CUSTOM = {0xFC, 0xFD}
# Instructions whose second code unit is an index into the methods, the fields or the types.
_METHOD = {*range(0x6E, 0x73), *range(0x74, 0x79), *INVOKE_POLYMORPHIC}
_FIELD = set(range(0x52, 0x6E))
_TYPE = {0x1C, 0x1F, 0x20, 0x22, 0x23, 0x24, 0x25}
# Code units of an instruction, by its opcode; the rest have one.
_WIDTHS: dict[int, set[int]] = {
    2: {0x02, 0x05, 0x08, 0x13, 0x15, 0x16, 0x19, 0x1A, 0x1C, 0x1F, 0x20, 0x22, 0x23, 0x29, 0xFE, 0xFF}.union(
        range(0x2D, 0x3E), range(0x44, 0x6E), range(0x90, 0xB0), range(0xD0, 0xE3)
    ),
    3: {0x03, 0x06, 0x09, 0x14, 0x17, 0x1B, 0x24, 0x25, 0x26, 0x2A, 0x2B, 0x2C, 0xFC, 0xFD}.union(
        range(0x6E, 0x73), range(0x74, 0x79)
    ),
    4: {0xFA, 0xFB},
    5: {0x18},
}
_WIDTH = {opcode: width for width, opcodes in _WIDTHS.items() for opcode in opcodes}
_UNUSED = {*range(0x3E, 0x44), 0x73, 0x79, 0x7A, *range(0xE3, 0xFA)}


@dataclass(frozen=True)
class MethodRef:
    """A method as code names it: ``Lowner;``, its name, its types as ``(parameters)result``."""

    owner: str
    name: str
    signature: str


@dataclass(frozen=True)
class FieldRef:
    """A field as code names it: ``Lowner;``, its name, its type."""

    owner: str
    name: str
    type: str


@dataclass
class Method:
    """A method with its code.

    Attributes:
        ref: its name.
        opcodes: that it has.
        calls: the methods that it names.
        fields: the fields that it names.
        types: the classes that it names, owners of fields and methods included.
    """

    ref: MethodRef
    opcodes: set[int] = field(default_factory=set)
    calls: set[MethodRef] = field(default_factory=set)
    fields: set[FieldRef] = field(default_factory=set)
    types: set[str] = field(default_factory=set)


@dataclass
class ClassDef:
    """A class: its name ``Lpackage/Name;``, superclass, interfaces, fields and methods."""

    name: str
    parents: list[str]
    fields: list[FieldRef] = field(default_factory=list)
    methods: list[Method] = field(default_factory=list)

    @property
    def members(self) -> frozenset[tuple[str, str]]:
        """Name and descriptor of each field and method."""
        fields = {(member.name, member.type) for member in self.fields}
        return frozenset(fields | {(method.ref.name, method.ref.signature) for method in self.methods})


class Dex:
    """A parsed dex file.

    Args:
        data: its bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.version = data[4:7].decode()
        assert data[:4] == b"dex\n"
        (size, header_size, endian) = struct.unpack_from("<III", data, 32)
        assert (size, header_size, endian) == (len(data), 0x70, 0x12345678)
        # Counts and offsets of strings, types, protos, fields, methods and classes.
        tables = list(zip(*[iter(struct.unpack_from("<12I", data, 56))] * 2, strict=True))
        self._strings = [self._string(at) for (at,) in self._table("<I", *tables[0])]
        self._types = [self._strings[index] for (index,) in self._table("<I", *tables[1])]
        self._protos = [self._proto(*row) for row in self._table("<III", *tables[2])]
        self._fields = [
            FieldRef(self._types[owner], self._strings[name], self._types[kind])
            for owner, kind, name in self._table("<HHI", *tables[3])
        ]
        self._methods = [
            MethodRef(self._types[owner], self._strings[name], self._protos[proto])
            for owner, proto, name in self._table("<HHI", *tables[4])
        ]
        self.classes = {c.name: c for c in (self._class(*row) for row in self._table("<8I", *tables[5]))}

    def _table(self, layout: str, count: int, at: int) -> Iterator[tuple[int, ...]]:
        width = struct.calcsize(layout)
        return (struct.unpack_from(layout, self._data, at + index * width) for index in range(count))

    def _uleb(self, at: int) -> tuple[int, int]:
        value, shift = 0, 0
        while True:
            byte = self._data[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value, at

    def _string(self, at: int) -> str:
        _length, at = self._uleb(at)
        return self._data[at : self._data.index(0, at)].decode("utf-8", "surrogatepass")

    def _list(self, at: int) -> list[str]:
        if not at:
            return []
        (count,) = struct.unpack_from("<I", self._data, at)
        return [self._types[index] for (index,) in self._table("<H", count, at + 4)]

    def _proto(self, _shorty: int, result: int, parameters: int) -> str:
        return f"({''.join(self._list(parameters))}){self._types[result]}"

    def _class(self, name: int, _flags: int, parent: int, interfaces: int, *rest: int) -> ClassDef:
        parents = [self._types[parent]] if parent != 0xFFFFFFFF else []
        found = ClassDef(self._types[name], parents + self._list(interfaces))
        if rest[2]:
            self._read_members(found, rest[2])
        return found

    def _read_members(self, found: ClassDef, at: int) -> None:
        counts = []
        for _count in range(4):
            count, at = self._uleb(at)
            counts.append(count)
        for group in counts[:2]:
            index = 0
            for _field in range(group):
                step, at = self._uleb(at)
                index += step
                _flags, at = self._uleb(at)
                found.fields.append(self._fields[index])
        for group in counts[2:]:
            index = 0
            for _method in range(group):
                step, at = self._uleb(at)
                index += step
                _flags, at = self._uleb(at)
                code, at = self._uleb(at)
                method = Method(self._methods[index])
                if code:
                    self._read_code(method, code)
                found.methods.append(method)

    def _read_code(self, method: Method, at: int) -> None:
        (units,) = struct.unpack_from("<I", self._data, at + 12)
        code = struct.unpack_from(f"<{units}H", self._data, at + 16)
        place = 0
        while place < units:
            opcode = code[place] & 0xFF
            if opcode == 0 and code[place] >> 8:
                place += _payload_units(code, place)
                continue
            assert opcode not in _UNUSED, hex(opcode)
            method.opcodes.add(opcode)
            if opcode in _METHOD:
                called = self._methods[code[place + 1]]
                method.calls.add(called)
                method.types.add(called.owner)
            elif opcode in _FIELD:
                used = self._fields[code[place + 1]]
                method.fields.add(used)
                method.types.add(used.owner)
            elif opcode in _TYPE:
                method.types.add(self._types[code[place + 1]])
            place += _WIDTH.get(opcode, 1)
        assert place == units, "an instruction ends where the method does"


def _payload_units(code: tuple[int, ...], at: int) -> int:
    """Code units of a switch's or an array's data, which lie between instructions."""
    kind, size = code[at] >> 8, code[at + 1]
    if kind == 1:
        return size * 2 + 4
    if kind == 2:
        return size * 4 + 2
    assert kind == 3
    elements = code[at + 2] | code[at + 3] << 16
    return (elements * size + 1) // 2 + 4
