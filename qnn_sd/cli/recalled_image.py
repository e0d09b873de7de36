"""What an image says of how it was made, as options of ``qnn-sd run``: images of ours, old ones, other tools'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from qnn_sd.cli.guidance_interval import interval_text
from qnn_sd.cli.like_networks import NamedNetworks
from qnn_sd.cli.prompt_marks import remarks_on_marks
from qnn_sd.errors import SettingError, UnknownSchedulerError
from qnn_sd.generate.png import read_png
from qnn_sd.generate.schedulers import scheduler_named
from qnn_sd.image_metadata import DOCUMENT, ImageDocument, TargetKind
from qnn_sd.in_words import shown
from qnn_sd.webui_parameters import PARAMETERS, Parameters, read_parameters

# More is no document of an image: the longest prompt that a shell can pass has 128 KiB.
_LONGEST_DOCUMENT = 1_000_000


@dataclass(frozen=True)
class RecalledImage:
    """What an image says.

    Attributes:
        path: of the image.
        options: values of options by the parameter's name, as they would be typed.
        target: where it was made; None where it doesn't say.
        soc: whose binaries ran; None where none did, or it doesn't say.
        is_quantized: whether no float graphs ran.
        document: all that made it; None in an image of an old version or of another tool.
        model_hash: of another tool's checkpoint: its name and the first digits of its hash; either may be empty.
        remarks: what it doesn't say, and what can't be as it says.
        networks: of another tool's image, the LoRAs and embeddings that it names.
    """

    path: Path
    options: Mapping[str, str]
    target: TargetKind | None
    soc: str | None
    is_quantized: bool
    document: ImageDocument | None = None
    model_hash: tuple[str, str] | None = None
    remarks: tuple[str, ...] = ()
    networks: NamedNetworks = field(default_factory=NamedNetworks)


def recall(path: Path) -> RecalledImage:
    """Reads an image's metadata.

    Raises:
        SettingError: no PNG file, or one that doesn't say how it was made, or not in a way that can be used.
    """
    texts, size = read_png(path)
    pixels = f"{size[0]}x{size[1]}"
    if DOCUMENT in texts:
        return _of_document(path, _document(path, texts[DOCUMENT]), pixels)
    if texts.get("software", "").startswith("qnn-sd "):
        return _of_old_version(path, texts, pixels)
    if PARAMETERS in texts:
        return _of_another_tool(path, read_parameters(texts[PARAMETERS]))
    kept = f"It holds {', '.join(map(shown, sorted(texts)[:5]))}." if texts else "It holds no text at all."
    raise SettingError(
        f"{path} doesn't say how it was made",
        why=f"{kept} What is read is {DOCUMENT}, or {PARAMETERS} as AUTOMATIC1111's web UI writes it.",
        hint="Give the file as it was made: what other programs and sites save anew often lacks its metadata.",
    )


def _document(path: Path, text: str) -> ImageDocument:
    try:
        if len(text) > _LONGEST_DOCUMENT:
            raise ValueError(f"It has {len(text):,} characters.")
        return ImageDocument.model_validate_json(text)
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3])
    except (ValueError, RecursionError) as error:
        why = str(error)
    raise SettingError(
        f"What {path} says of how it was made can't be used",
        why=shown(why, 300),
        hint="Another version of qnn-sd made it, or it was changed. Type the prompt and the settings instead.",
    )


def _of_document(path: Path, made: ImageDocument, pixels: str) -> RecalledImage:
    size = f"{made.size.width}x{made.size.height}"
    options = {
        "prompt": made.prompt,
        "negative": made.negative_prompt,
        "seed": str(made.seed),
        "steps": str(made.steps),
        "guidance": str(made.guidance),
        "scheduler": made.scheduler,
        "size": size,
        "model": made.model,
        "plain_prompt": "yes" if made.plain_prompt else "no",
        "prompt_chunks": str(made.prompt_chunks),
    }
    if made.clip_skip is not None:
        options["clip_skip"] = str(made.clip_skip)
    if made.guidance_interval is not None:
        options["guidance_interval"] = interval_text(made.guidance_interval)
    if made.prediction is not None and made.checkpoint.kind != "kit":
        options["prediction"] = made.prediction
    if made.quantization is not None:
        if made.quantization.rounding is not None:
            options["rounding"] = made.quantization.rounding
        options["verify"] = "no" if made.quantization.verification is None else "yes"
    remarks = () if size == pixels else (f"it was made with {size} pixels and has {pixels} now",)
    soc = None if made.soc is None else made.soc.name
    return RecalledImage(path, options, made.target, soc, made.quantization is not None, made, None, remarks)


def _of_old_version(path: Path, texts: Mapping[str, str], pixels: str) -> RecalledImage:
    names = {"negative_prompt": "negative", "prompt": "prompt"}
    names |= {name: name for name in ("seed", "steps", "guidance", "scheduler", "model")}
    options = {option: texts[key] for key, option in names.items() if key in texts}
    if "prompt" not in options or "seed" not in options:
        raise SettingError(
            f"{path} doesn't say how it was made",
            why="It is a sheet of images, or the image of a report.",
            hint="Give an image that qnn-sd run made.",
        )
    where = texts.get("target", "").partition(":")[0]
    targets: dict[str, TargetKind] = {"cpu": "cpu", "emulator": "emulator", "adb": "phone", "phone": "phone"}
    soc = texts.get("soc", "none")
    quantized = texts.get("precision", "float") != "float"
    if quantized:
        options["verify"] = "no" if texts.get("verified", "").startswith("NOT VERIFIED") else "yes"
    remark = (
        f"{shown(texts['software'])} made it, which didn't write checkpoint, VAE, LoRAs, embeddings, rounding and "
        "given encodings: add those that it had"
    )
    options |= {"size": pixels, "plain_prompt": "yes"}
    return RecalledImage(
        path, options, targets.get(where), None if soc == "none" else soc, quantized, remarks=(remark,)
    )


def _of_another_tool(path: Path, said: Parameters) -> RecalledImage:
    fields = said.fields
    options = {"prompt": said.prompt, "negative": said.negative}
    names = {"Steps": "steps", "CFG scale": "guidance", "Seed": "seed", "Size": "size", "Clip skip": "clip_skip"}
    options |= {option: shown(fields[name]) for name, option in names.items() if name in fields}
    tool = shown(fields.get("Version", "another tool"))
    remarks = [f"{tool} made it: the result can only be like it, since noise and weights are computed otherwise there"]
    if said.sampler is not None:
        try:
            options["scheduler"] = scheduler_named(said.sampler)
        except UnknownSchedulerError as error:
            line = f"its sampler {shown(said.sampler)} isn't built here: the model's own is used"
            remarks.append(f"{line}. {error.hint}" if error.hint.startswith("The nearest") else line)
    unsaid = [name for name in (*names, "Sampler") if name not in fields and name != "Clip skip"]
    if unsaid:
        remarks.append(f"it doesn't say: {', '.join(unsaid)}; the defaults hold")
    remarks += [*remarks_on_marks(said.prompt, "prompt", {}), *remarks_on_marks(said.negative, "negative prompt", {})]
    if "Hypernet" in fields:
        remarks.append(f"its hypernetwork {shown(fields['Hypernet'])} is left out: hypernetworks aren't supported")
    if fields.get("Emphasis", "Original") != "Original":
        remarks.append(f"weights in its prompt were read as Emphasis {shown(fields['Emphasis'])}, here as Original")
    model = fields.get("Model", ""), fields.get("Model hash", "")
    known = model if any(model) else None
    return RecalledImage(path, options, None, None, False, None, known, tuple(remarks), NamedNetworks.of(said))
