"""Writes the table of error messages in docs/errors.md, read from the source of ``qnn_sd/``.

    python tools/error_table.py

Every place that makes a ``QnnSdError`` is a row: the message with ``<placeholders>``, why, and what to do next, under
the class's exit code. Run it after an error was added or changed; ``tests/test_docs.py`` fails until then.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "errors.md"
BEGIN, END = "<!-- messages: begin (python tools/error_table.py) -->", "<!-- messages: end -->"
# What a row shows where the source computes the text elsewhere.
ELSEWHERE = "…"


@dataclass(frozen=True)
class ErrorClass:
    """A subclass of QnnSdError.

    Attributes:
        name: of the class.
        exit_code: its own or its parent's.
        first: names of its positional arguments.
    """

    name: str
    exit_code: int
    first: tuple[str, ...]


@dataclass(frozen=True, order=True)
class Message:
    """One message of an error; texts with ``<placeholders>``.

    Attributes:
        exit_code: of its class.
        error: name of its class.
        what: the first line.
        why: the second, or "".
        next: the third, or "".
    """

    exit_code: int
    error: str
    what: str
    why: str
    next: str


@dataclass
class Scope:
    """The texts that names stand for at a place of the source: constants of the module, variables of the function."""

    texts: Mapping[str, ast.expr] = field(default_factory=dict)

    def inside(self, body: ast.AST) -> Scope:
        """The same with a function's own variables; one that is assigned twice stands for nothing."""
        own: dict[str, ast.expr | None] = {}
        for node in ast.walk(body):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                own[name] = None if name in own else node.value
        return Scope({**self.texts, **{name: value for name, value in own.items() if value is not None}})

    def templates(self, node: ast.expr | None) -> list[str]:
        """The texts that an expression may be, with placeholders; none where the source doesn't say."""
        if isinstance(node, ast.Name) and node.id in self.texts:
            return Scope({key: value for key, value in self.texts.items() if key != node.id}).templates(
                self.texts[node.id]
            )
        if isinstance(node, ast.IfExp):
            return [*self.templates(node.body), *self.templates(node.orelse)]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return [node.value]
        if isinstance(node, ast.JoinedStr):
            return ["".join(self._part(part) for part in node.values)]
        return []

    def _part(self, part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        assert isinstance(part, ast.FormattedValue)
        constant = (
            self.texts.get(part.value.id) if isinstance(part.value, ast.Name) and part.value.id.isupper() else None
        )
        if isinstance(constant, ast.Constant):
            return str(constant.value)
        shown = f"<{placeholder(part.value)}>"
        return f"'{shown}'" if part.conversion == ord("r") else shown


def placeholder(node: ast.expr) -> str:
    """A name for what a message is told, such as ``soc`` for ``profile.soc``."""
    if isinstance(node, ast.Name):
        return node.id.strip("_").lower()
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_")
    if isinstance(node, ast.Subscript | ast.Starred):
        return placeholder(node.value)
    if isinstance(node, ast.Call):
        return _of_call(node)
    if isinstance(node, ast.BinOp):
        # Paths are put together with /.
        return "path" if isinstance(node.op, ast.Div) else "number"
    return ELSEWHERE


def _of_call(call: ast.Call) -> str:
    if isinstance(call.func, ast.Name) and call.func.id == "adb_command":
        return " ".join(("adb", *(each.value for each in call.args if isinstance(each, ast.Constant))))
    if isinstance(call.func, ast.Attribute):
        if call.func.attr == "join":
            return "list"
        return placeholder(call.func.value if call.func.attr in ("strip", "lower", "upper", "title") else call.func)
    if isinstance(call.func, ast.Name) and call.func.id in ("len", "sum", "round", "min", "max"):
        return "number"
    if isinstance(call.func, ast.Name) and len(call.args) == 1 and isinstance(call.args[0], ast.Name | ast.Attribute):
        return placeholder(call.args[0])
    return placeholder(call.func)


def error_classes(package: Path) -> dict[str, ErrorClass]:
    """The subclasses of QnnSdError by name, wherever they are defined."""
    found = {"QnnSdError": ErrorClass("QnnSdError", 1, ("what",))}
    definitions = [
        node for _path, tree in _sources(package) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    more = True
    while more:
        more = False
        for node in definitions:
            parent = next((base.id for base in node.bases if isinstance(base, ast.Name) and base.id in found), None)
            if parent is not None and node.name not in found:
                found[node.name] = _class_of(node, found[parent])
                more = True
    return found


def _class_of(node: ast.ClassDef, parent: ErrorClass) -> ErrorClass:
    exit_code, first = parent.exit_code, parent.first
    for item in node.body:
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            if item.targets[0].id == "exit_code" and isinstance(item.value, ast.Constant):
                exit_code = int(str(item.value.value))
        elif isinstance(item, ast.FunctionDef) and item.name == "__init__":
            first = tuple(argument.arg for argument in item.args.args[1:])
    return ErrorClass(node.name, exit_code, first)


def messages(package: Path) -> list[Message]:
    """Every message that the source writes out, sorted by exit code and text."""
    classes = error_classes(package)
    found: set[Message] = set()
    for _path, tree in _sources(package):
        constants = Scope().inside(ast.Module([node for node in tree.body if isinstance(node, ast.Assign)], []))
        for call, scope in _calls(tree, constants):
            if isinstance(call.func, ast.Name) and call.func.id in classes:
                found |= set(_messages_of(call, classes[call.func.id], scope))
    return sorted(found)


def _calls(node: ast.AST, scope: Scope) -> Iterator[tuple[ast.Call, Scope]]:
    """Every call with the names that are known where it stands."""
    for child in ast.iter_child_nodes(node):
        inner = scope.inside(child) if isinstance(child, ast.FunctionDef) else scope
        if isinstance(child, ast.Call):
            yield child, scope
        yield from _calls(child, inner)


def _messages_of(call: ast.Call, error: ErrorClass, scope: Scope) -> Iterator[Message]:
    given = {
        **dict(zip(error.first, call.args, strict=False)),
        **{each.arg or "": each.value for each in call.keywords},
    }
    why, hint = (scope.templates(given.get(name)) for name in ("why", "hint"))
    for what in scope.templates(given.get("what")):
        yield Message(
            error.exit_code,
            error.name,
            what,
            *(
                " / ".join(filter(None, texts)) if texts else (ELSEWHERE if name in given else "")
                for name, texts in (("why", why), ("hint", hint))
            ),
        )


def _sources(package: Path) -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text("utf-8"))) for path in sorted(package.rglob("*.py"))]


def render(rows: list[Message]) -> str:
    """The messages as Markdown, a table for each exit code."""
    text = ""
    for code in sorted({row.exit_code for row in rows}):
        these = [row for row in rows if row.exit_code == code]
        names = " and ".join(f"`{name}`" for name in sorted({row.error for row in these}))
        text += f"\n### Exit code {code}: {names}\n\n| message | why | next |\n|---|---|---|\n"
        for row in these:
            text += f"| `{row.what.replace('|', '¦')}` | {_prose(row.why)} | {_prose(row.next)} |\n"
    return f"{BEGIN}\n{text}\n{END}"


def _prose(text: str) -> str:
    for mark in "\\|<*`":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def with_table(page: str, table: str) -> str:
    """A page with its table replaced.

    Raises:
        ValueError: the page has no markers.
    """
    head, begin, rest = page.partition(BEGIN)
    _old, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} lacks {BEGIN} or {END}")
    return f"{head}{table}{tail}"


def main() -> int:
    """Writes the page; says whether it changed."""
    before = PAGE.read_text("utf-8")
    after = with_table(before, render(messages(ROOT / "qnn_sd")))
    PAGE.write_text(after, "utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {'written anew' if after != before else 'is current'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
