"""What an image says: text chunks that any reader takes, other tools' format by a parser of its own, hostile files."""

from __future__ import annotations

import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from qnn_sd.cli.recalled_image import recall
from qnn_sd.errors import SettingError
from qnn_sd.generate.png import read_png, save_png
from qnn_sd.generate.schedulers import SCHEDULERS, SPACINGS, scheduler_named
from qnn_sd.image_metadata import ImageDocument, ImageLora, ImageSource
from qnn_sd.webui_parameters import SAMPLERS, SCHEDULE_TYPES, read_parameters, written_parameters

HASH = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
OWN_VAE = ImageSource(name="vae", kind="checkpoint", sha256=HASH)
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
CONTENT: dict[str, Any] = {
    "schema": "qnn-sd/image/1",
    "prompt": "a lighthouse",
    "negative_prompt": "",
    "seed": 7,
    "steps": 20,
    "scheduler": "dpm++2m",
    "guidance": 7.5,
    "size": {"width": 512, "height": 768},
    "model": "sd15",
    "checkpoint": {"name": "dream.safetensors", "kind": "file", "sha256": HASH},
    "vae": {"name": "vae", "kind": "checkpoint", "sha256": HASH},
    "tokenizer": HASH,
    "loras": [],
    "embeddings": [],
    "plain_prompt": False,
    "target": "phone",
    "soc": {"name": "sm8650", "dl_mode": 2, "soc_model": 57, "htp_arch": 75},
    "quantization": {
        "schemes": {"unet": "W8A16"},
        "rounding": "adaround",
        "encodings": {},
        "prompts": None,
        "verification": {"unet": {"qdq_against_float_db": 40.5, "binary_against_qdq_db": 70.0}},
    },
    "fallbacks": [{"component": "unet", "target": "phone CPU"}],
    "build": HASH,
    "versions": {"qnn-sd": "0.1.0", "onnxruntime": "1.27.0"},
}


def made(**changes: Any) -> ImageDocument:
    return ImageDocument.model_validate({**CONTENT, **changes})


def theirs(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt and fields, read by the format's rules without a regular expression."""
    *lines, rest = text.strip().split("\n")
    fields = {}
    while rest:
        name, colon, rest = rest.partition(": ")
        assert colon, f"no field: {name!r}"
        if rest.startswith('"'):
            value, end = json.JSONDecoder().raw_decode(rest)
        else:
            end = rest.find(",") if "," in rest else len(rest)
            value = rest[:end]
        fields[name], rest = value, rest[end:]
        assert not rest or rest.startswith(", ")
        rest = rest[2:]
    prompt: list[str] = []
    negative: list[str] = []
    for line in lines:
        found = line.strip()
        if negative or found.startswith("Negative prompt:"):
            negative.append(found.removeprefix("Negative prompt:").strip())
        else:
            prompt.append(found)
    return "\n".join(prompt), "\n".join(negative), fields


def words(text: str) -> list[str]:
    """As the tokenizer sees it: white space of any kind is one space."""
    return text.split()


HOSTILE = [
    "",
    "   ",
    "a, b: c",
    'say "cheese", \\"twice\\"',
    "two\nlines\n\nand a third",
    "🎨 红色的圆 äöü",
    "Steps: 3, Sampler: Heun, CFG scale: 1, Seed: 1",
    "a cat\nSteps: 3, Sampler: Heun, CFG scale: 1, Seed: 1",
    "a cat\nNegative prompt: dogs",
    "a cat\n \n Negative prompt: dogs\nNegative prompt: birds",
    "<b>&amp;</b> {[()]} %s {0}",
    "a " * 3000,
]


@pytest.mark.parametrize("negative", ["", 'blurry, bad: "x"', "two\nlines\nNegative prompt: more"])
@pytest.mark.parametrize("prompt", HOSTILE)
def test_other_tools_read_prompt_and_settings(prompt: str, negative: str) -> None:
    found = theirs(written_parameters(made(prompt=prompt, negative_prompt=negative)))
    assert (words(found[0]), words(found[1])) == (words(prompt), words(negative))
    assert found[2] == {
        "Steps": "20",
        "Sampler": "DPM++ 2M",
        "CFG scale": "7.5",
        "Seed": "7",
        "Size": "512x768",
        "Model hash": HASH[:10],
        "Model": "dream",
        "RNG": "CPU",
        "Version": "qnn-sd 0.1.0",
    }
    ours = read_parameters(written_parameters(made(prompt=prompt, negative_prompt=negative)))
    assert (words(ours.prompt), words(ours.negative), ours.fields) == (words(prompt), words(negative), found[2])


def test_other_tools_read_vae_loras_and_embeddings() -> None:
    lora = {"name": "add, de:tail.safetensors", "sha256": OTHER, "tensors_sha256": HASH, "scale": 0.8}
    text = written_parameters(
        made(
            prompt="a cat",
            vae={"name": "soft.safetensors", "kind": "file", "sha256": OTHER},
            checkpoint={"name": "a, b.safetensors", "kind": "file", "sha256": HASH},
            loras=[lora, {**lora, "name": "b.safetensors", "scale": -1.0}],
            embeddings=[{"name": "neon", "file": "n.safetensors", "sha256": OTHER}],
        )
    )
    prompt, _negative, fields = theirs(text)
    assert prompt == "a cat <lora:add detail:0.8> <lora:b:-1>"
    assert (fields["VAE"], fields["VAE hash"], fields["Model"]) == ("soft.safetensors", OTHER[:10], "a, b")
    assert fields["Lora hashes"] == f"add detail: {HASH[:12]}, b: {HASH[:12]}"
    assert fields["TI hashes"] == f"neon: {OTHER[:12]}"
    ours = read_parameters(text)
    assert (ours.prompt, ours.loras) == ("a cat", (("add detail", "0.8"), ("b", "-1")))


def test_other_tools_read_a_prompt_as_it_was_read() -> None:
    """Brackets that were words are escaped; tags of LoRAs are those of what was merged."""
    lora = {"name": "ink.safetensors", "sha256": OTHER, "tensors_sha256": HASH, "scale": 0.5}
    prompt = r"a (red:1.3) [star] \(x\) <lora:ink:0.8>"
    marked = theirs(written_parameters(made(prompt=prompt, loras=[lora], clip_skip=2)))
    assert marked[0] == r"a (red:1.3) [star] \(x\) <lora:ink:0.5>"
    assert marked[2]["Clip skip"] == "2"
    plain = theirs(written_parameters(made(prompt=prompt, negative_prompt="(dark)", plain_prompt=True)))
    assert plain[:2] == (r"a \(red:1.3\) \[star\] \\\(x\\\) <lora:ink:0.8>", r"\(dark\)")
    assert "Clip skip" not in plain[2]
    # What was left out here would do something there.
    left_out = theirs(written_parameters(made(prompt="a <lyco:ink:1> b <hypernet:old:1><other:x>", loras=[lora])))
    assert left_out[0] == "a  b <lora:ink:0.5>"


def test_an_image_of_before_had_marks_as_words(tmp_path: Path) -> None:
    before = {name: value for name, value in CONTENT.items() if name != "plain_prompt"}
    found = recall(documented(tmp_path, json.dumps(before))).options
    assert (found["plain_prompt"], found["clip_skip"], found["prompt_chunks"]) == ("yes", "1", "1")
    now = recall(documented(tmp_path, json.dumps(made(clip_skip=2, prompt_chunks=3).content))).options
    assert (now["plain_prompt"], now["clip_skip"], now["prompt_chunks"]) == ("no", "2", "3")


@pytest.mark.parametrize("scheduler", SAMPLERS)
def test_samplers_have_the_names_of_other_tools(scheduler: str) -> None:
    text = written_parameters(made(scheduler=scheduler))
    assert theirs(text)[2]["Sampler"] == SAMPLERS[scheduler]
    assert "Schedule type" not in theirs(text)[2]
    assert scheduler_named(str(read_parameters(text).sampler)) == scheduler


@pytest.mark.parametrize("spacing", SCHEDULE_TYPES)
def test_spacings_are_schedule_types(spacing: str) -> None:
    text = written_parameters(made(scheduler=f"dpm++2m-sde-{spacing}"))
    assert theirs(text)[2]["Sampler"] == "DPM++ 2M SDE"
    assert theirs(text)[2]["Schedule type"] == SCHEDULE_TYPES[spacing]
    assert scheduler_named(str(read_parameters(text).sampler)) == f"dpm++2m-sde-{spacing}"


def test_every_scheduler_has_a_name_there() -> None:
    assert SAMPLERS.keys() == SCHEDULERS.keys()
    assert SCHEDULE_TYPES.keys() == SPACINGS.keys()


def test_a_guidance_scale_keeps_its_digits() -> None:
    assert theirs(written_parameters(made(guidance=7.123456789)))[2]["CFG scale"] == "7.123456789"


# As the web UI writes it.
WEB_UI = (
    "masterpiece, (a cat:1.2) AND [a|b] <lora:soft:0.6>\nNegative prompt: blurry,\nugly\n"
    "Steps: 25, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 965400086, Size: 512x768, Model hash: 6ce0161689, "
    'Model: v1-5-pruned, Clip skip: 2, Lora hashes: "soft: 0123456789ab", Version: v1.6.0'
)


def image(folder: Path, **texts: str) -> Path:
    save_png(folder / "x.png", PIXELS, texts)
    return folder / "x.png"


def test_another_tools_image_gives_what_it_has(tmp_path: Path) -> None:
    found = recall(image(tmp_path, parameters=WEB_UI))
    assert found.options == {
        "prompt": "masterpiece, (a cat:1.2) AND [a|b]",
        "negative": "blurry,\nugly",
        "steps": "25",
        "guidance": "6.5",
        "seed": "965400086",
        "clip_skip": "2",
        "size": "512x768",
        "scheduler": "dpm++2m-karras",
    }
    assert found.model_hash == ("v1-5-pruned", "6ce0161689")
    told = "\n".join(found.remarks)
    words = "AND in the prompt is read as plain words", "[a|b] in the prompt is read as plain words"
    for part in ("v1.6.0 made it", *words):
        assert part in told
    assert "--lora PATH:0.6" in "\n".join(found.networks.remarks([], (), OWN_VAE))


@pytest.mark.parametrize(
    ("fields", "remark"),
    [
        ("Hypernet: old", "its hypernetwork old is left out"),
        ("Emphasis: No norm", "weights in its prompt were read as Emphasis No norm, here as Original"),
    ],
)
def test_what_another_tools_image_needs_is_said(fields: str, remark: str, tmp_path: Path) -> None:
    text = f"a cat <lyco:ink:te=1:unet=0.5>\nSteps: 4, Seed: 1, CFG scale: 7, {fields}"
    found = recall(image(tmp_path, parameters=text))
    assert found.options["prompt"] == "a cat"
    assert [each for each in found.remarks if each.startswith(remark)]
    assert not [each for each in recall(image(tmp_path, parameters=WEB_UI)).remarks if each.startswith(remark)]


@pytest.mark.parametrize(
    ("fields", "embeddings"),
    [
        ('TI hashes: "bad, Soft: 0123456789ab"', ["bad", "Soft"]),
        ("Used embeddings: bad-hands-5 [2767]", ["bad-hands-5"]),
    ],
)
def test_of_another_tools_networks_those_are_said_that_are_not_given(
    fields: str, embeddings: list[str], tmp_path: Path
) -> None:
    hashes = f'Lora hashes: "ink: {HASH[:12]}, oil: 5"'
    text = (
        f"a cat <lyco:ink:te=1:unet=0.5> <lora:oil:0.7>\nSteps: 4, Seed: 1, CFG scale: 7, {fields}, VAE: x.pt, {hashes}"
    )
    networks = recall(image(tmp_path, parameters=text)).networks
    needed = [
        f"its LoRA {name} at {scale} must be given: --lora PATH:{scale}" for name, scale in (("ink", 0.5), ("oil", 0.7))
    ]
    asked = [f"its embedding {name} must be given: --embedding PATH" for name in embeddings]
    assert list(networks.remarks([], (), OWN_VAE)) == [*needed, *asked, "its VAE x.pt must be given: --vae PATH"]

    def lora(name: str, digest: str, scale: float) -> ImageLora:
        return ImageLora(name=name, sha256=HASH, tensors_sha256=digest, scale=scale)

    # Names count in any case; a file that was renamed is told by its hash.
    given = [lora("renamed.safetensors", HASH, 0.5), lora("Oil.safetensors", "5" * 64, 1.0)]
    soft = ImageSource(name="soft", kind="folder", sha256=HASH)
    scaled = "its LoRA oil was merged at 0.7, here at 1: --lora PATH:0.7 does as the image did"
    assert list(networks.remarks(given, [each.lower() for each in embeddings], soft)) == [scaled]
    for_bundles = "\n".join(networks.remarks_on_bundle(embeddings))
    assert "its LoRA oil at 0.7 counts only if" in for_bundles
    assert "embedding" not in for_bundles


def test_what_another_tool_does_not_say_is_said(tmp_path: Path) -> None:
    found = recall(image(tmp_path, parameters="a cat\nSteps: 4, Sampler: DPM++ SDE Karras, Size: 64x64"))
    assert found.options == {"prompt": "a cat", "negative": "", "steps": "4", "size": "64x64"}
    line = "its sampler DPM++ SDE Karras isn't built here: the model's own is used. The nearest that is built: "
    assert f"{line}--scheduler dpm++2m-sde-karras" in found.remarks
    assert "it doesn't say: CFG scale, Seed; the defaults hold" in found.remarks
    assert found.model_hash is None


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, "<lora:a" * 100_000, "(" * 100_000, "a: " * 300_000, "\n" * 500_000],
)
def test_a_text_that_is_made_to_take_long_does_not(text: str, tmp_path: Path) -> None:
    """An expression that tries each beginning with each end would go on for hours."""
    assert recall(image(tmp_path, parameters=text)).options["prompt"] == text.strip()
    assert written_parameters(made(prompt=text)).endswith("Version: qnn-sd 0.1.0")


def test_an_image_of_an_old_version_gives_what_it_has(tmp_path: Path) -> None:
    old = {"software": "qnn-sd 0.0.9", "prompt": "a cat", "negative_prompt": "dogs", "steps": "5", "seed": "3"}
    more = {"guidance": "4.0", "scheduler": "euler", "model": "tiny-sd", "target": "adb:R5CT10ABCDE", "soc": "sm8650"}
    found = recall(image(tmp_path, **old, **more, precision="w8a16", verified="NOT VERIFIED (--no-verify)"))
    assert found.options == {
        **{"prompt": "a cat", "negative": "dogs", "steps": "5", "seed": "3", "guidance": "4.0"},
        **{"scheduler": "euler", "model": "tiny-sd", "size": "8x8", "verify": "no", "plain_prompt": "yes"},
    }
    assert (found.target, found.soc, found.is_quantized) == ("phone", "sm8650", True)
    assert "qnn-sd 0.0.9 made it, which didn't write checkpoint" in found.remarks[0]
    with pytest.raises(SettingError, match="doesn't say how it was made"):
        recall(image(tmp_path, software="qnn-sd 0.1.0", forms="float, qdq"))


def documented(folder: Path, text: str) -> Path:
    return image(folder, **{"qnn-sd": text})


def test_a_prediction_counts_as_typed_but_for_the_kits_checkpoint(tmp_path: Path) -> None:
    """What is typed for the kit's own would make it one that no figures are known of."""
    for kind, expected in (("file", "v"), ("kit", None)):
        document = made(prediction="v", checkpoint={"name": "dream", "kind": kind, "sha256": HASH})
        found = recall(documented(tmp_path, json.dumps(document.content)))
        assert found.options.get("prediction") == expected


def test_a_document_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = recall(documented(tmp_path, json.dumps(made().content)))
    assert found.document == made()
    assert found.options["verify"] == "yes"
    assert found.remarks == ("it was made with 512x768 pixels and has 8x8 now",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "JSON"),
        ("[" * 100_000, "recursion|JSON"),
        ("x" * 1_000_001, "1,000,001 characters"),
        (json.dumps({**CONTENT, "schema": "qnn-sd/image/2"}), "qnn-sd/image/1"),
        (json.dumps({**CONTENT, "unknown\x1b[31m": 1}), r"unknown\?\[31m: Extra inputs"),
        (json.dumps({**CONTENT, "seed": "7x"}), "seed: .*integer"),
        (json.dumps({**CONTENT, "build": "../x"}), "build: "),
        (json.dumps(CONTENT).replace("dream.safetensors", "/etc/passwd"), "is a path, not a file's name"),
        (json.dumps(CONTENT).replace("dream.safetensors", "../x"), "is a path, not a file's name"),
        (json.dumps(CONTENT).replace("dream.safetensors", "a\\u001b[2J"), "not a file's name"),
        (json.dumps(CONTENT).replace('"file"', '"hub"'), "is no hub id"),
        (json.dumps({**CONTENT, "seed": 1}).replace('"seed": 1', f'"seed": {"9" * 5000}'), "seed|JSON"),
    ],
)
def test_a_document_that_cannot_be_used_is_refused(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="says of how it was made can't be used") as caught:
        recall(documented(tmp_path, text))
    assert re.search(why, caught.value.why), caught.value.why
    assert caught.value.why.isprintable()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "can't be read as a PNG image"),
        (b"\xff\xd8\xff\xe0 a JPEG", "can't be read as a PNG image"),
        (header(8, 8)[:20], "can't be read as a PNG image"),
        (header(8, 8), "can't be read as a PNG image"),
        (header(200_000, 200_000) + chunk(b"tEXt", b"parameters\0x"), "can't be read as a PNG image"),
        # A gigabyte of zeros behind a megabyte.
        (
            header(8, 8) + chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"\0" * 80_000_000)),
            "can't be read as a PNG",
        ),
    ],
)
def test_a_damaged_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(SettingError, match=message):
        recall(path)


def test_a_file_that_is_missing_a_folder_or_silent_is_refused(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "no.png", "is missing"), (tmp_path, "can't be read as a PNG image")):
        with pytest.raises(SettingError, match=message):
            recall(path)
    with pytest.raises(SettingError, match="doesn't say how it was made") as caught:
        recall(image(tmp_path))
    assert "no text at all" in caught.value.why
    with pytest.raises(SettingError, match="doesn't say how it was made") as caught:
        recall(image(tmp_path, workflow="{}", prompt='{"1": {}}'))
    assert "It holds prompt, workflow." in caught.value.why


def test_text_after_the_pixels_is_read_too(tmp_path: Path) -> None:
    info = PngInfo()
    info.add(b"tEXt", b"parameters\0" + WEB_UI.encode("latin-1"), after_idat=True)
    Image.fromarray(PIXELS).save(tmp_path / "x.png", pnginfo=info)
    assert recall(tmp_path / "x.png").options["steps"] == "25"


def test_a_truncated_image_still_says_how_it_was_made(tmp_path: Path) -> None:
    path = documented(tmp_path, json.dumps(made().content))
    path.write_bytes(path.read_bytes()[:-30])
    assert recall(path).document == made()


def test_plain_text_stands_in_the_plainest_chunk_and_all_else_is_unicode(tmp_path: Path) -> None:
    texts = {"a": "plain, café\ntwo", "b": "红 🎨", "c": "lone \udcff surrogate"}
    path = image(tmp_path, **texts)
    content = path.read_bytes()
    assert b"tEXta\0" in content
    assert b"iTXtb\0" in content
    assert read_png(path) == ({**texts, "c": "lone ? surrogate"}, (8, 8))
