"""A published zip → a bundle that ``qnn-sd run``, ``inspect`` and ``verify`` take as one of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from qnn_sd.artifact import Artifact, Recipe, load_or_build
from qnn_sd.binaries.loading import qairt_of
from qnn_sd.bundle_manifest import BUNDLE_FILE, TOKENIZER_FOLDER, Bundle, Part, Published, Soc
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.config import DeviceProfile
from qnn_sd.console import json_text
from qnn_sd.export.checkpoint.original_config import SCHEDULER
from qnn_sd.pipeline.artifact_store import tool_versions
from qnn_sd.published.archive import unpack
from qnn_sd.published.asset_file import AssetFile
from qnn_sd.published.checks import CheckedBinary, check_binaries, contradicted
from qnn_sd.published.contract import NAME, SCALING_FACTOR
from qnn_sd.published.wrapper import write_wrapper
from qnn_sd.tokenizer_files import END, Vocabulary

STAGE = "fetch"
MODEL = "sd15"
LICENCE = "CreativeML OpenRAIL-M"
LICENCE_URL = "https://github.com/CompVis/stable-diffusion/blob/main/LICENSE"
PUBLISHER = f"Qualcomm, {NAME}"
_SCHEME = "W8A16"
_SOURCES = ("published", "wrapped_binary.py", "bundle_manifest.py", "binaries/raw_node.py", "tokenizer_files.py")


@dataclass(frozen=True)
class Adopted:
    """A bundle of published binaries.

    Attributes:
        artifact: the bundle; its metadata are ``qairt`` (of the compiler), ``contract`` and ``remarks``.
        remarks: what is to be warned of.
    """

    artifact: Artifact
    remarks: tuple[str, ...] = field(default_factory=tuple)


def recipe_of(file: AssetFile, profile: DeviceProfile, vocabulary: Vocabulary) -> Recipe:
    """What the bundle is made of and by.

    Args:
        file: the zip.
        profile: of the SoC.
        vocabulary: the tokenizer.
    """
    return Recipe(
        STAGE,
        f"{MODEL}.{profile.soc}",
        {file.asset.file_name: file.sha256, "tokenizer": vocabulary.sha256},
        {"release": file.asset.release, "chipset": file.asset.chipset, "soc": profile.soc},
        tool_versions(_SOURCES, "onnx", "onnxruntime-qnn"),
    )


def adopt(
    file: AssetFile,
    profile: DeviceProfile,
    vocabulary: Vocabulary,
    cache: Path,
    on_bytes: Callable[[int], None] | None = None,
) -> Adopted:
    """The bundle of a published zip, from the cache or made now.

    Args:
        file: the zip.
        profile: of the SoC that it is to be for.
        vocabulary: CLIP's tokenizer, which the zip doesn't bring.
        cache: gets the bundle, below ``fetch``.
        on_bytes: called with the bytes of each piece of a cached bundle that was read, to hash it.

    Raises:
        ArtifactError: the cache holds a damaged one.
        BinaryError: the files aren't what they are to be.
        IntegrityError: the zip is damaged, or leads out of its folder.
        OutputError: the cache can't be written.
        TargetError: the binaries are for another HTP, or of a newer QAIRT than the emulator here.
    """
    recipe = recipe_of(file, profile, vocabulary)
    made = load_or_build(cache, recipe, lambda folder: _fill(folder, file, profile, vocabulary), on_bytes=on_bytes)
    return Adopted(made, tuple(made.metadata.get("remarks", ())))


def _fill(folder: Path, file: AssetFile, profile: DeviceProfile, vocabulary: Vocabulary) -> Mapping[str, Any]:
    # In the same file system: what is adopted is moved.
    with TemporaryDirectory(dir=folder, prefix=".zip-") as scratch:
        paths, metadata = unpack(file.path, Path(scratch))
        checked, remarks = check_binaries(paths, profile)
        for each in checked.values():
            if each.path.name in metadata.model_files:
                remarks += contradicted(metadata.model_files[each.path.name], each)
        parts = {name: _part(folder, each) for name, each in checked.items()}
    (folder / TOKENIZER_FOLDER).mkdir()
    for name, text in vocabulary.files.items():
        (folder / TOKENIZER_FOLDER / name).write_text(text, "utf-8", newline="\n")
    bundle = _bundle(file, profile, checked, parts)
    (folder / BUNDLE_FILE).write_text(json_text(bundle.content), "utf-8")
    return {"qairt": qairt_of(checked["unet"].info), "contract": NAME, "remarks": remarks}


def _part(folder: Path, checked: CheckedBinary) -> Part:
    place = folder / checked.component
    place.mkdir()
    checked.path.rename(place / checked.path.name)
    wrapped = write_wrapper(checked, place / CONTEXT_FILE)
    return Part(file=f"{checked.component}/{CONTEXT_FILE}", kind="context_binary", scheme=_SCHEME, wrapped=wrapped)


def _bundle(
    file: AssetFile, profile: DeviceProfile, checked: Mapping[str, CheckedBinary], parts: Mapping[str, Part]
) -> Bundle:
    tokens = checked["text_encoder"].graph.inputs[0].dims[-1]
    decoder = checked["vae_decoder"].graph
    latent, image = decoder.inputs[0].dims, decoder.outputs[0].dims
    # Height and width stand behind the channels, or between them and the batch.
    (height, latent_height), (width, _) = (
        (image[1 if image[3] == 3 else 2], latent[1 if latent[3] == 4 else 2]),
        (image[2 if image[3] == 3 else 3], latent[2 if latent[3] == 4 else 3]),
    )
    info = checked["unet"].info
    return Bundle(
        model=MODEL,
        # The emulator is told the SoC that the binaries name.
        soc=Soc(
            name=profile.soc,
            dl_mode=profile.dl_mode,
            soc_model=info.soc_model or profile.soc_model,
            htp_arch=info.htp_arch or profile.htp_arch,
        ),
        height=height,
        width=width,
        factor=height // latent_height,
        latent_channels=4,
        scaling_factor=SCALING_FACTOR,
        tokens=tokens,
        time_cond_proj_dim=None,
        scheduler=dict(SCHEDULER),
        padding_token=END,
        added_tokens={},
        components=dict(parts),
        verification=None,
        published=Published(
            by=PUBLISHER,
            release=file.asset.release,
            file=file.asset.file_name,
            sha256=file.sha256,
            chipset=file.asset.chipset,
            licence=LICENCE,
        ),
    )
