"""Nothing that leaves a machine names its user, its home, its host or a phone: every byte that a run leaves is read."""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import demo_configs
from adb_host import AdbHost, started, user
from conftest import CHECKPOINT, Cli
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from qnn_sd.cli.documents import BenchDocument
from qnn_sd.cli.documents.failure import ErrorDetail
from qnn_sd.config import load_profile
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline

USER, HOST, SERIAL = "zaphodb-user", "magrathea-host", "R5CT42BEEBLE"
PROMPT = "a red circle on a blue background"
# Every process of the command believes to run on that host.
_HOST_NAMED = f"""
import os, platform, socket
host = "{HOST}"
uname = os.uname()
os.uname = lambda: os.uname_result((uname.sysname, host, *uname[2:]))
platform.node = socket.gethostname = socket.getfqdn = lambda *_: host
"""


def contents(path: Path) -> Iterator[bytes]:
    """A file's name and bytes, and what is compressed in it."""
    yield path.name.encode()
    content = path.read_bytes()
    yield content
    if not content.startswith(b"\x89PNG"):
        return
    place = 8
    while place < len(content):
        [length] = struct.unpack(">I", content[place : place + 4])
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        if kind == b"zTXt":
            yield zlib.decompress(data.partition(b"\0")[2][1:])
        elif kind == b"iTXt" and data.partition(b"\0")[2][:1] == b"\1":
            yield zlib.decompress(data.partition(b"\0")[2][2:].split(b"\0", 2)[2])
        place += 12 + length


def leaks(folder: Path, names: list[str]) -> list[str]:
    """Where a folder's files hold one of the names, in the encodings that programs write text in."""
    needles = {name: [name.encode(each) for each in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")] for name in names}
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert files, "nothing was looked at"
    return [
        f"{path.relative_to(folder)}: {name}"
        for path in files
        for content in contents(path)
        for name, spelled in needles.items()
        if any(each in content for each in spelled)
    ]


def test_a_name_is_found_wherever_it_hides(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("a", f"by {USER}", zip=True)
    info.add_itxt("b", f"on {HOST}", zip=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png", pnginfo=info)
    (tmp_path / "x.bin").write_bytes(b"\0" + f"/home/{USER}".encode("utf-16-le"))
    (tmp_path / f"{HOST}.txt").write_text("harmless")
    found = leaks(tmp_path, [USER, HOST, SERIAL])
    assert found == [f"{HOST}.txt: {HOST}", f"x.bin: {USER}", f"x.png: {USER}", f"x.png: {HOST}"]


class PrivateUser(Cli):
    """The command as a user with a home, on a host, whose names must go nowhere.

    Args:
        folder: where home, and what the command leaves, are made.
        cache: of its artifacts; None for the user's own.
    """

    def __init__(self, folder: Path, cache: Path | None = None) -> None:
        self.home = folder / "home" / USER
        self.left = folder / "left"
        work, patches, configs = self.home / "work", folder / "patches", folder / "configs"
        for each in (self.left, work, patches, configs):
            each.mkdir(parents=True)
        demo_configs.changed_demo(configs, {**demo_configs.LESS, **demo_configs.TWO_STEPS})
        super().__init__(cache or self.home / ".cache" / "qnn-sd", work, configs if cache is None else None)
        (patches / "sitecustomize.py").write_text(_HOST_NAMED)
        paths = [str(patches), *sys.path]
        names = {"HOME": str(self.home), "LOGNAME": USER, "USER": USER, "USERNAME": USER, "HOSTNAME": HOST}
        self.environment |= {**names, "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def run(self, *arguments: str) -> None:
        """A command that must succeed; what it says stays on this machine."""
        done = self(*arguments)
        assert done.returncode == 0, done.stderr

    @property
    def names(self) -> list[str]:
        """What no file may hold."""
        return [USER, HOST, str(self.home)]


def saved_by_somebody(home: Path) -> Path:
    """The demo's checkpoint in a home, as libraries note where a config was saved from."""
    folder = home / "models" / "dream"
    shutil.copytree(CHECKPOINT, folder)
    for name in ("unet/config.json", "vae/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json"):
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), "_name_or_path": f"{home}/{name}"}))
    path = folder / "tokenizer" / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name_or_path": f"{home}/tokenizer"}))
    return folder


def test_a_whole_build_and_its_images_and_reports_name_nobody(tmp_path: Path) -> None:
    command = PrivateUser(tmp_path)
    checkpoint = saved_by_somebody(command.home)
    prompts = command.home / "prompts.txt"
    prompts.write_text("a red circle\na blue square on white\na green star\n" * 4)
    given = ("--checkpoint", str(checkpoint), "--prompts", str(prompts), "--rounding", "nearest", "--size", "64x64")
    command.run("verify", *given, "--report", str(command.left / "report.md"))
    command.run("report", *given, "-o", str(command.left / "report.html"))
    command.run("run", PROMPT, *given, "--seed", "1", "-o", str(command.left / "e.png"))
    command.run("run", PROMPT, "--checkpoint", str(checkpoint), "--target", "cpu", "-o", str(command.left / "c.png"))
    assert {path.name for path in command.left.iterdir()} == {
        "report.md",
        "report.png",
        "report.html",
        "e.png",
        "c.png",
    }
    assert leaks(command.left, command.names) == []
    cache = command.home / ".cache" / "qnn-sd"
    stages = {"export", "calibrate", "quantize", "compile", "verify", "bundle"}
    assert {path.name for path in cache.iterdir()} >= stages
    assert leaks(cache, command.names) == []
    document = json.loads(Image.open(command.left / "e.png").text["qnn-sd"])  # type: ignore[attr-defined]
    assert document["checkpoint"]["name"] == "dream"


def test_neither_images_nor_reports_nor_the_phone_name_anybody(
    adb: AdbHost, pipeline: BuildPipeline, cache: Path, tmp_path: Path
) -> None:
    pipeline.bundle(load_profile("sm8650"), TEXT_TO_IMAGE_COMPONENTS)
    command = PrivateUser(tmp_path, cache)
    shutil.copytree(adb.home / ".android", command.home / ".android")
    home = command.environment["HOME"]
    user(command, adb).environment["HOME"] = home
    with started(adb, tmp_path / "phone", serial=SERIAL) as phone:
        device = ("--device", phone.address)
        command.run("run", PROMPT, *device, "--steps", "1", "--seed", "1", "-o", str(command.left / "p.png"))
        command.run("run", "--like", str(command.left / "p.png"), *device, "-o", str(command.left / "again.png"))
        bench = ("bench", *device, "--component", "text_encoder", "--rounds", "1", "--cold", "1")
        command.run(*bench, "-o", str(command.left / "bench.json"))
        names = [*command.names, str(cache), SERIAL, phone.address]
        assert leaks(phone.tmp, names) == []
    assert leaks(command.left, names) == []
    assert (command.left / "again.png").read_bytes() == (command.left / "p.png").read_bytes()
    texts = Image.open(command.left / "p.png").text  # type: ignore[attr-defined]
    assert (texts["target"], texts["soc"], texts["htp"]) == ("phone", "sm8650", "v75")
    assert json.loads(texts["qnn-sd"])["target"] == "phone"
    told = BenchDocument.model_validate_json((command.left / "bench.json").read_text())
    assert (told.phone.device, told.phone.reported_soc) == ("SERIAL", "SM8650")
    assert told.error is None or isinstance(told.error, ErrorDetail)
