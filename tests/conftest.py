"""What tests share. Seeds are fixed; nothing here needs a network."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "assets"))  # the trainer's checker and prompts
sys.path.insert(0, str(ROOT / "worker"))  # the worker's build and its pins
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT))  # the build hook

# A shell starts background jobs with Ctrl-C ignored, which our commands would inherit from us.
signal.signal(signal.SIGINT, signal.default_int_handler)
# And nohup those with SIGHUP ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# diffusers and transformers must not look for a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Torch's threads wait for each other in a busy loop: beside another worker they get in each other's way.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Tests start hundreds of commands: without bytecode each compiles the package's 300 modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

import demo_configs
import layers
from schemas import document_models

from qnn_sd import resources
from qnn_sd.artifact import sha256_of_file
from qnn_sd.config import load_model, load_profile
from qnn_sd.console import Console
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline

if TYPE_CHECKING:
    from adb_host import AdbHost, PhoneOnAdb
    from cli_here import CliHere

    from qnn_sd.hub_stand_in import StandIn

CHECKPOINT = ROOT / "assets" / "tiny-sd"

# Virtual phones here run with another user's HOME. The pinned jars (54 MB) are in this user's cache, or get there once.
os.environ.setdefault("QNN_SD_CACHE", str(resources.cache()))

# One of several processes that share the tests: pytest-xdist's -n.
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
COSTS = layers.Costs()
_LAYER = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if IS_WORKER:
        # A short name beside the other workers' folders: sockets are made there, whose paths may have 107 bytes.
        config.option.basetemp = Path(config.option.basetemp).with_name(os.environ["PYTEST_XDIST_WORKER"][2:])
    for name, what in layers.LAYERS.items():
        config.addinivalue_line("markers", f"{name}: {what}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test with its layer, before -m chooses."""
    for item in items:
        layer = item.stash[_LAYER] = layers.layer_of(item)
        item.add_marker(layer)
    if IS_WORKER:
        items[:] = layers.long_files_first([(item.path, item.stash[_LAYER], item) for item in items])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with COSTS.counted(item.stash[_LAYER], item.nodeid, tests=1):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with layers.held_to(item.stash[_LAYER]):
        return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands over what its tests cost."""
    if IS_WORKER:
        session.config.workeroutput["costs"] = COSTS.rows()  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The costs of a worker that has ended are part of the run's; one that crashed has none."""
    COSTS.add(getattr(node, "workeroutput", {}).get("costs", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What each layer cost: what to look at when the suite has become slow."""
    if not COSTS.tests:
        return
    terminalreporter.section("cost by layer")
    for line in COSTS.table():
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests: what one built, the next one finds.

    ``QNN_SD_TEST_CACHE`` names a folder that outlasts the run. A change in a stage's code builds its artifacts anew.
    Workers have one each, so that none meets what another is about to build.
    """
    return tmp_path_factory.mktemp("cache") if IS_WORKER else _lasting_cache(tmp_path_factory.mktemp("cache"))


def _lasting_cache(otherwise: Path) -> Path:
    folder = Path(os.environ.get("QNN_SD_TEST_CACHE") or otherwise)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def pipeline(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildPipeline:
    """The demo model's pipeline. Of several workers the first one builds, and each has a copy of that."""
    if IS_WORKER:
        shared = _lasting_cache(tmp_path_factory.getbasetemp().parent / "demo")
        with (shared / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _build_demo(_pipeline(shared))
            shutil.copytree(shared, cache, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
    return _pipeline(cache)


def _pipeline(cache: Path) -> BuildPipeline:
    return BuildPipeline(load_model("tiny-sd"), Console(quiet=True), cache=cache)


def _build_demo(pipeline: BuildPipeline) -> None:
    pipeline.cpu_bundle("float")
    pipeline.bundle(load_profile("sm8650"), TEXT_TO_IMAGE_COMPONENTS)


@pytest.fixture(scope="session")
def bundles_in_cache(pipeline: BuildPipeline) -> None:
    """What ``run`` needs on the CPU and for the default SoC: commands find it and don't build."""
    _build_demo(pipeline)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=600)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A stand-in for AI Hub in this process, which AI Hub's client and qnn-sd are pointed at."""
    from qnn_sd.hub_stand_in import StandIn

    with StandIn(tmp_path / "hub") as stand_in:
        monkeypatch.setenv("QAIHUB_CLIENT_INI", str(stand_in.client_ini))
        yield stand_in


@pytest.fixture
def own_cache(pipeline: BuildPipeline, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the cache that a test may damage; gone after it, since it has up to half a GB."""
    copy = _copy(cache, tmp_path_factory)
    yield copy
    shutil.rmtree(copy)


def _copy(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("own") / "cache"
    shutil.copytree(cache, copy)
    return copy


@pytest.fixture(scope="session")
def refused_cache(pipeline: BuildPipeline, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the cache whose UNet binary for sm8650 has the right hash and no runtime loads it.

    As one for a newer chip would be.
    """
    made = pipeline.bundle(load_profile("sm8650"), TEXT_TO_IMAGE_COMPONENTS).folder
    copy = _copy(cache, tmp_path_factory)
    bundle = copy / made.relative_to(cache)
    [binary] = (bundle / "unet" / "htp").glob("*.bin")
    binary.write_bytes(np.random.default_rng(0).bytes(100_000))
    manifest = json.loads((bundle / "manifest.json").read_text())
    entry = {"bytes": 100_000, "sha256": sha256_of_file(binary)}
    manifest["files"][binary.relative_to(bundle).as_posix()] = entry
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return copy


def json_document(text: str) -> Any:
    """The document that is all of ``text``; it follows its schema, whose name and version come first."""
    document = json.loads(text)
    assert next(iter(document)) == "schema"
    model = document_models()[document["schema"].split("/")[1]]
    # Strict: "1" is no number. What it has beyond the text would be a field that was left out.
    assert model.model_validate_json(text, strict=True).content == document
    return document


class Cli:
    """Runs ``qnn-sd`` as a process of its own, as a user does.

    Args:
        cache: where its artifacts are.
        folder: where it runs.
        configs: folder of model configs instead of the kit's own.
    """

    def __init__(self, cache: Path, folder: Path, configs: Path | None = None) -> None:
        self._configs = configs
        self.environment = {**os.environ, "QNN_SD_CACHE": str(cache), "COLUMNS": "160", "NO_COLOR": "1"}
        self.folder = folder

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        if self._configs is None:
            return [sys.executable, "-m", "qnn_sd", *arguments]
        return [sys.executable, "-c", demo_configs.COMMAND_WITH_CONFIGS, str(self._configs), *arguments]

    def __call__(
        self, *arguments: str, environment: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            **options,
        )

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """A command that goes on beside the test, with its stderr to read."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self, *arguments: str, **options: Any) -> Any:
        """The JSON document of a command that must succeed; stdout holds nothing else, and it follows its schema."""
        done = self(*arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        return json_document(done.stdout)

    def refused(self, code: int, *arguments: str, **options: Any) -> str:
        """The message of a command that must fail with this exit code and without a traceback.

        Its stdout is empty or, with ``--json``, one document that says the same.
        """
        before = sorted(path.name for path in self.folder.iterdir())
        done = self(*arguments, **options)
        assert done.returncode == code, (done.returncode, done.stderr)
        assert "Traceback" not in done.stderr
        if "--json" in arguments:
            error = json_document(done.stdout)["error"]
            assert error["code"] == code
            assert error["what"] in done.stderr
        else:
            assert done.stdout == ""
        assert sorted(path.name for path in self.folder.iterdir()) == before, "something was left behind"
        return done.stderr


def interrupt_at(process: subprocess.Popen[str], line: str) -> str:
    """Sends Ctrl-C as soon as a line shows on stderr; returns everything said."""
    assert process.stderr is not None
    said = []
    for text in process.stderr:
        said.append(text)
        if line in text:
            process.send_signal(signal.SIGINT)
            break
    said.append(process.stderr.read())
    process.wait(timeout=120)
    return "".join(said)


@pytest.fixture
def cli(cache: Path, tmp_path: Path) -> Cli:
    """The command, in an empty folder."""
    return Cli(cache, tmp_path)


@pytest.fixture
def cli_here(cache: Path, tmp_path: Path) -> CliHere:
    """The command in this process, in an empty folder."""
    from cli_here import CliHere

    return CliHere(cache, tmp_path)


@pytest.fixture
def reading_cli(cli_here: CliHere) -> CliHere:
    """The same for commands that read context binaries, which a child process does."""
    return cli_here


@pytest.fixture(scope="session")
def shell(
    pipeline: BuildPipeline, cache: Path, adb: AdbHost, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Variables of a shell that has this checkout's ``qnn-sd``, ``python`` and ``adb`` on its PATH, and the demo built.

    Images have two steps there.
    """
    folder = tmp_path_factory.mktemp("shell")
    configs, programs = folder / "configs", folder / "bin"
    configs.mkdir()
    programs.mkdir()
    demo_configs.changed_demo(configs, demo_configs.TWO_STEPS)
    shutil.copy(ROOT / "model_configs" / "sd15.toml", configs)
    command = programs / "qnn-sd"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(Cli(cache, folder, configs).command())} "$@"\n')
    command.chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    (programs / "adb").symlink_to(adb.command()[0])
    return {
        **adb.environment,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "QNN_SD_CACHE": str(cache),
        "QNN_SD_DATA": str(folder / "data"),
        "NO_COLOR": "1",
        "PAGER": "cat",
    }


@pytest.fixture
def hasty_cli(cache: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The command where the demo generates with few steps."""
    configs = tmp_path_factory.mktemp("configs")
    demo_configs.changed_demo(configs, demo_configs.FEW_STEPS)
    return Cli(cache, tmp_path, configs)


@pytest.fixture(scope="session")
def adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbHost]:
    """The real adb of a user with a key."""
    from adb_host import AdbHost

    host = AdbHost(tmp_path_factory.mktemp("home"))
    yield host
    host.close()


@pytest.fixture
def host(adb: AdbHost, monkeypatch: pytest.MonkeyPatch) -> AdbHost:
    """This process is the user's, too."""
    for name in ("HOME", "ANDROID_ADB_SERVER_PORT", "ADB_LOCAL_TRANSPORT_MAX_PORT"):
        monkeypatch.setenv(name, adb.environment[name])
    return adb


# Of a module: while it runs, this process has the user's HOME, and adb lists it.
@pytest.fixture(scope="module")
def phone(adb: AdbHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PhoneOnAdb]:
    """A virtual phone without faults, that tests share."""
    from adb_host import started

    from qnn_sd.virtual_phone import Battery

    with started(adb, tmp_path_factory.mktemp("phone"), battery=Battery(level=61, temperature=31.5)) as running:
        yield running


@pytest.fixture
def folder(phone: PhoneOnAdb, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty folder on the shared phone."""
    path = f"/data/local/tmp/{request.node.name.partition('[')[0]}"
    phone.shell(f"mkdir {path}")
    yield path
    phone.shell(f"rm -rf {path}")


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers of a fixed seed."""
    return np.random.default_rng(20)
