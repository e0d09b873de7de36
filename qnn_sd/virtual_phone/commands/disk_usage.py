"""Commands about the data partition: df, du."""

from __future__ import annotations

import stat

from qnn_sd.virtual_phone.commands.call import Call
from qnn_sd.virtual_phone.commands.paths import join


def df(call: Call) -> None:
    """``df [-k] [PATH...]``: one data partition, in KiB."""
    _, paths = call.options("k")
    call.for_each(paths, lambda path: _require_file(call, path))
    if call.status:
        return
    size, free = call.files.disk_space()
    used = size - free
    # Rounded up, as toybox does.
    percent = -(-used * 100 // max(used + free, 1))
    rows = [
        ["Filesystem", "1K-blocks", "Used", "Available", "Use%", "Mounted on"],
        ["/dev/block/data", str(size // 1024), str(used // 1024), str(free // 1024), f"{percent}%", "/data"],
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        numbers = " ".join(f"{row[column]:>{widths[column]}}" for column in range(1, 5))
        call.write(f"{row[0]:<{widths[0]}} {numbers} {row[5]}\n")


def _require_file(call: Call, path: str) -> None:
    call.resolve(path).host_path.stat()


def du(call: Call) -> None:
    """``du [-k] [-s] [-a] [PATH...]``: KiB on disk; folders, and with -a files."""
    options, paths = call.options("ksa")

    def measure(path: str, depth: int) -> int:
        status = call.resolve(path, follow=False).host_path.lstat()
        blocks = status.st_blocks
        is_folder = stat.S_ISDIR(status.st_mode)
        if is_folder:
            blocks += sum(measure(join(path, name), depth + 1) for name in call.files.list_folder(path, call.cwd))
        if depth == 0 or ("s" not in options and (is_folder or "a" in options)):
            call.write(f"{(blocks + 1) // 2}\t{path}\n")
        return blocks

    def show(path: str) -> None:
        measure(path, 0)

    call.for_each(paths or ["."], show)
