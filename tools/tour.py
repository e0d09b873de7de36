"""Types the commands of docs/tour.md and writes what they print into the page.

    python tools/tour.py

The cache is empty at first, and each section begins in an empty folder with the file ``dream.safetensors``: the demo
checkpoint under Stable Diffusion's original names, as people hand checkpoints on. ``tests/test_shell_blocks.py`` types
the same lines, and compares.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tour.md"
DREAM = "dream.safetensors"
_BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```)", re.M | re.S)
_LIMIT_SECONDS = 1800
# Of a longer output, the page shows the first lines and the last.
_FIRST, _LAST = 24, 12


def write_dream(path: Path) -> None:
    """Writes the demo checkpoint as one fp16 file in Stable Diffusion's original layout."""
    sys.path.insert(0, str(ROOT / "tests"))
    import torch  # noqa: PLC0415 (they are beside the tests)
    from original_layout import to_original  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    tensors = to_original(ROOT / "assets" / "tiny-sd")
    save_file({name: tensor.to(torch.float16).contiguous() for name, tensor in tensors.items()}, path)


def main() -> None:
    """Writes the page anew."""
    with tempfile.TemporaryDirectory() as work:
        sections = re.split(r"(?m)(?=^## )", PAGE.read_text("utf-8"))
        filled = [_filled(text, Path(work), str(number)) for number, text in enumerate(sections)]
    PAGE.write_text("".join(filled), "utf-8")


def _filled(section: str, home: Path, folder: str) -> str:
    if not _BLOCK.search(section):
        return section
    here = home / folder
    here.mkdir(parents=True)
    write_dream(here / DREAM)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("QNN_SD", "ADB", "XDG"))}
    environment |= {
        "HOME": str(home),
        "NO_COLOR": "1",
        # A server of this home: it makes a key there, and lists no phone of another one.
        "ANDROID_ADB_SERVER_PORT": "5937",
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    # Where a person is, is of no interest.
    replaced = {f"{here}/": "", str(here): "~/here", str(home): "~", sys.prefix: "~/.venv", str(ROOT): "~/checkout"}

    def typed(block: re.Match[str]) -> str:
        lines = re.findall(r"(?m)^\$ (.*)", block[0])
        return "".join(f"$ {line}\n{_output(line, here, environment, replaced)}" for line in lines)

    return _BLOCK.sub(typed, section)


def _output(line: str, here: Path, environment: dict[str, str], replaced: dict[str, str]) -> str:
    print(f"$ {line}", flush=True)
    with tempfile.TemporaryFile("w+") as out:
        # A file, not a pipe: what goes on in the background would hold it.
        options = {"cwd": here, "env": environment, "stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        subprocess.run(["bash", "-c", line], stdout=out, timeout=_LIMIT_SECONDS, check=False, **options)
        out.seek(0)
        text = out.read()
    for path, shown in replaced.items():
        text = text.replace(path, shown)
    lines = [each.rstrip() for each in text.splitlines()]
    if len(lines) > _FIRST + _LAST:
        lines[_FIRST:-_LAST] = ["…"]
    return "".join(f"{each}\n" for each in lines)


if __name__ == "__main__":
    main()
