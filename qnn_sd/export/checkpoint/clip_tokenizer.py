"""CLIP's tokenizer, which every Stable Diffusion 1.x checkpoint uses and a single file doesn't bring.

It is looked for on this machine before the hub is asked, and known by its content: what a folder or a package is
called says nothing. Packages are never imported.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qnn_sd import output_files
from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint import hub
from qnn_sd.tokenizer_files import END, START, Vocabulary, read_vocabulary

REPOSITORY = "openai/clip-vit-large-patch14"
# The smallest package that carries it, without what it would bring along.
INSTALL = "pip install --no-deps clip-anytorch"
TOKENS = 49_408
# Of ``Vocabulary.sha256``: the same from three packages that carry OpenAI's file as from vocab.json and merges.txt of
# another project.
_SHA256 = "eebb29b2254b1005156c3ff628797af90c8b548118f59d0761e4958bc6f0c527"
# As OpenAI's own package has it, and those that were made from it.
_PACKED = "bpe_simple_vocab_16e6.txt.gz"
_PACKED_MOST_BYTES = 16 * 2**20
_PACKAGES = ("clip", "open_clip")
# Bytes of CLIP's files, whoever wrote them: what is far from it needn't be read.
_MERGES_BYTES = range(500_000, 600_000)
_JOINT_BYTES = range(1_500_000, 8_000_000)


@dataclass(frozen=True)
class ClipTokenizerSearch:
    """Where CLIP's tokenizer is looked for.

    Attributes:
        cache: of the artifacts; what a package carries is unpacked there once.
        say: is told where it was found, and what was passed over.
        download: whether the hub may be asked, and the cache be written.
    """

    cache: Path
    say: Callable[[str], None]
    download: bool

    def find(self, origin: Path) -> Vocabulary:
        """CLIP's tokenizer, from the nearest place.

        Args:
            origin: what brings none.

        Raises:
            CheckpointError: it is nowhere, and can't be had from the hub.
            OutputError: the cache can't be written.
        """
        vocabulary, place = self._nearest(origin)
        self.say(f"{origin.name} brings no tokenizer: CLIP's is taken, from {place}")
        return vocabulary

    def _nearest(self, origin: Path) -> tuple[Vocabulary, str]:
        unpacked = self.cache / "tokenizers" / "clip"
        for folder in (unpacked, *_plausible_hub_folders()):
            if vocabulary := _genuine(folder):
                return vocabulary, str(folder)
        for title, path in _packed_files():
            if vocabulary := unpack(path):
                if self.download:
                    _write(vocabulary, unpacked)
                return vocabulary, f"{title} ({path})"
            self.say(f"{path} is passed over: it isn't CLIP's vocabulary")
        try:
            if vocabulary := _genuine(hub.fetch_tokenizer(REPOSITORY, self.download)):
                return vocabulary, f"the hub ({REPOSITORY})"
            why = f"What the hub has under {REPOSITORY} isn't CLIP's vocabulary of {TOKENS:,} tokens."
        except CheckpointError as error:
            why = f"{error.what}. {error.why}"
        raise CheckpointError(
            f"{origin} brings no tokenizer",
            why=f"CLIP's is neither in the hub's cache nor in an installed package. {why}",
            hint=f"Type {INSTALL} (1.4 MB), or give --tokenizer FOLDER with CLIP's vocab.json and merges.txt.",
        )


def _genuine(folder: Path) -> Vocabulary | None:
    """The tokenizer of a folder if it is CLIP's."""
    try:
        vocabulary = read_vocabulary(folder)
    except (CheckpointError, OSError):
        return None
    return vocabulary if vocabulary.sha256 == _SHA256 else None


def _plausible_hub_folders() -> Iterator[Path]:
    """Folders in huggingface_hub's cache that may hold it."""
    for snapshot in hub.cached_snapshots():
        for folder in (snapshot, snapshot / "tokenizer"):
            merges, joint = (_bytes(folder / name) for name in ("merges.txt", "tokenizer.json"))
            if merges in _MERGES_BYTES or joint in _JOINT_BYTES:
                yield folder


def _bytes(path: Path) -> int:
    """A file's size; 0 for one that isn't there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _packed_files() -> Iterator[tuple[str, Path]]:
    """Files of OpenAI's name in installed packages, with what messages call the package."""
    found: set[Path] = set()
    for title, path in (*_recorded_files(), *_files_beside_modules()):
        if path not in found and path.is_file():
            found.add(path)
            yield title, path


def _recorded_files() -> Iterator[tuple[str, Path]]:
    for distribution in importlib.metadata.distributions():
        try:
            # Most packages have thousands of files: their names are parsed only where this one is among them.
            if _PACKED not in (distribution.read_text("RECORD") or ""):
                continue
            title = f"the package {distribution.metadata['Name']} {distribution.version}"
            files = [Path(str(file.locate())) for file in distribution.files or () if file.name == _PACKED]
        except Exception:  # metadata that is damaged fails in many ways, in modules that aren't ours
            continue
        yield from ((title, file) for file in files)


def _files_beside_modules() -> Iterator[tuple[str, Path]]:
    """Those of packages that are installed without a list of their files."""
    for package in _PACKAGES:
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            continue
        for place in (spec.submodule_search_locations or ()) if spec else ():
            yield f"the package {package}", Path(place) / _PACKED


def unpack(path: Path) -> Vocabulary | None:
    """CLIP's tokenizer from OpenAI's file of merges, as their ``simple_tokenizer.py`` reads it.

    None if the file is damaged or another one.
    """
    special = [START, END]
    symbols = _byte_symbols()
    count = TOKENS - 2 * len(symbols) - len(special)
    try:
        with gzip.open(path) as packed:
            lines = packed.read(_PACKED_MOST_BYTES).decode("utf-8").split("\n")[1 : count + 1]
        merges = [(left, right) for left, right in map(str.split, lines)]
    except (OSError, EOFError, zlib.error, ValueError):
        return None
    words = [*symbols, *(f"{symbol}</w>" for symbol in symbols), *map("".join, merges), *special]
    vocabulary = Vocabulary({word: number for number, word in enumerate(words)}, merges, path)
    return vocabulary if vocabulary.sha256 == _SHA256 else None


def _byte_symbols() -> list[str]:
    """The characters that stand for bytes in byte-level BPE: printable ones first, for themselves."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return [*map(chr, printable), *(chr(256 + number) for number in range(others))]


def _write(vocabulary: Vocabulary, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_files.output_error(folder, error) from error
    for name, text in vocabulary.files.items():
        with output_files.written_aside(folder / name) as aside:
            aside.write_text(text, "utf-8", newline="\n")
