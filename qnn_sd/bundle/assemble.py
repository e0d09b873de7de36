"""Fills a bundle's folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from qnn_sd.artifact import MANIFEST
from qnn_sd.bundle_manifest import BUNDLE_FILE, TOKENIZER_FOLDER, Bundle
from qnn_sd.console import json_text
from qnn_sd.tokenizer_files import Vocabulary


def assemble(folder: Path, bundle: Bundle, sources: Mapping[str, Path], tokenizer: Vocabulary) -> None:
    """Copies the components' files and writes ``bundle.json``.

    Args:
        folder: existing empty folder.
        bundle: what the bundle says of itself.
        sources: folder of the artifact for each subfolder of the bundle.
        tokenizer: the checkpoint's, written here in one form whatever its files were.
    """
    # Copies, not hard links: onnx refuses external data that has several names.
    for subfolder, source in sources.items():
        target = folder / subfolder
        target.mkdir(parents=True)
        for path in sorted(source.iterdir()):
            if path.name != MANIFEST and path.is_file():
                shutil.copyfile(path, target / path.name)
    (folder / TOKENIZER_FOLDER).mkdir()
    for name, text in tokenizer.files.items():
        (folder / TOKENIZER_FOLDER / name).write_text(text, "utf-8", newline="\n")
    (folder / BUNDLE_FILE).write_text(json_text(bundle.content), "utf-8")
