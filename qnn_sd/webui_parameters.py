"""The text chunk ``parameters``, as AUTOMATIC1111's web UI writes and reads it and many tools beside it.

Its lines are the prompt, ``Negative prompt: …``, and last ``Steps: 20, Sampler: …, CFG scale: …``. A value with a
comma, a colon or a line's end is quoted as JSON. Prompts aren't quoted: what can't be told apart there, the JSON
document of the image has (``image_metadata.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from qnn_sd.image_metadata import ImageDocument
from qnn_sd.prompt_tags import escaped, split_tags

PARAMETERS = "parameters"
# Our schedulers as those tools spell them.
SAMPLERS: Mapping[str, str] = {
    "dpm++2m": "DPM++ 2M",
    "dpm++2m-sde": "DPM++ 2M SDE",
    "dpm++2m-sde-heun": "DPM++ 2M SDE Heun",
    "dpm++3m": "DPM++ 3M",
    "dpm++3m-sde": "DPM++ 3M SDE",
    "unipc": "UniPC",
    "unipc-bh1": "UniPC BH1",
    "unipc-bh2": "UniPC BH2",
    "deis": "DEIS",
    "euler": "Euler",
    "euler-a": "Euler a",
    "heun": "Heun",
    "ddim": "DDIM",
    "pndm": "PLMS",
    "lcm": "LCM",
}
# And how the steps are spaced, which ends our names.
SCHEDULE_TYPES: Mapping[str, str] = {
    "karras": "Karras",
    "exponential": "Exponential",
    "lu": "Lu",
    "sgm-uniform": "SGM Uniform",
    "uniform": "Uniform",
    "leading": "DDIM",
}
_NEGATIVE = "Negative prompt:"
_FIELD = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_FEWEST_FIELDS = 3
# Longer is no line of settings, and would take the expression's time squared.
_LONGEST_LINE = 10_000
# Hex digits of a hash, as those tools shorten it.
_MODEL_DIGITS, _NETWORK_DIGITS = 10, 12


def written_parameters(made: ImageDocument) -> str:
    """The chunk's text for an image."""
    spacing = next((each for each in SCHEDULE_TYPES if made.scheduler.removesuffix(f"-{each}") in SAMPLERS), "")
    sampler = made.scheduler.removesuffix(f"-{spacing}")
    fields: dict[str, object] = {
        "Steps": made.steps,
        "Sampler": SAMPLERS.get(sampler, sampler),
        **({"Schedule type": SCHEDULE_TYPES[spacing]} if sampler != made.scheduler else {}),
        "CFG scale": _number(made.guidance),
        "Seed": made.seed,
        "Size": f"{made.size.width}x{made.size.height}",
        "Model hash": made.checkpoint.sha256[:_MODEL_DIGITS],
        "Model": _stem(made.checkpoint.name),
    }
    if made.vae.kind != "checkpoint":
        fields |= {"VAE hash": made.vae.sha256[:_MODEL_DIGITS], "VAE": made.vae.name}
    if made.clip_skip is not None and made.clip_skip > 1:
        fields["Clip skip"] = made.clip_skip
    # The noise is that of torch's generator on the CPU, and not on a GPU.
    fields["RNG"] = "CPU"
    if made.loras:
        pairs = [f"{_tag_name(each.name)}: {each.tensors_sha256[:_NETWORK_DIGITS]}" for each in made.loras]
        fields["Lora hashes"] = ", ".join(pairs)
    if made.embeddings:
        fields["TI hashes"] = ", ".join(
            f"{_tag_name(each.name)}: {each.sha256[:_NETWORK_DIGITS]}" for each in made.embeddings
        )
    fields["Version"] = f"qnn-sd {made.versions.get('qnn-sd', '')}".strip()
    tags = "".join(f" <lora:{_tag_name(each.name)}:{_number(each.scale)}>" for each in made.loras)
    prompt = f"{_written(made.prompt, made)}{tags}"
    negative = f"\n{_NEGATIVE} {_written(made.negative_prompt, made)}" if made.negative_prompt.strip() else ""
    settings = ", ".join(f"{name}: {_quoted(str(value))}" for name, value in fields.items())
    return f"{prompt}{negative}\n{settings}".strip()


def _written(prompt: str, made: ImageDocument) -> str:
    """A prompt as the web UI reads it: brackets that were words are escaped, tags of LoRAs follow the prompt.

    Tags did nothing else.
    """
    read = escaped(prompt) if made.plain_prompt else split_tags(prompt)[0].strip()
    return _without_marks(read)


def _number(value: float) -> str:
    """As short as it can be without becoming another number."""
    return repr(value).removesuffix(".0")


def _stem(name: str) -> str:
    """A checkpoint's name without its suffix; a hub id's last part."""
    return PurePath(name).name.removesuffix(".safetensors")


def _tag_name(name: str) -> str:
    """A LoRA's name for a tag, whose marks it can't contain."""
    return re.sub(r"[:,<>]", "", _stem(name))


def _without_marks(prompt: str) -> str:
    """A prompt in which no line can be taken for the negative prompt's first.

    The tokenizer reads a line's end and a space alike.
    """
    first, *lines = prompt.split("\n")
    kept = [first]
    for line in lines:
        if line.strip().startswith(_NEGATIVE):
            while len(kept) > 1 and not kept[-1].strip():
                kept.pop()
            kept[-1] += f" {line.strip()}"
        else:
            kept.append(line)
    return "\n".join(kept)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r"[,:\n]", value) else value


@dataclass(frozen=True)
class Parameters:
    """What such a chunk says.

    Attributes:
        prompt: without its LoRA tags.
        negative: empty if there is none.
        fields: of the last line, by name; empty if there is none.
        loras: names with their scales as they are written, from the prompt's tags.
    """

    prompt: str
    negative: str
    fields: Mapping[str, str] = field(default_factory=dict)
    loras: tuple[tuple[str, str], ...] = ()

    @property
    def sampler(self) -> str | None:
        """The sampler and how its steps are spaced, as the tool calls them; None where no sampler is named."""
        name, spacing = self.fields.get("Sampler"), self.fields.get("Schedule type", "")
        return None if name is None else f"{name} {spacing}".strip()

    @property
    def lora_hashes(self) -> dict[str, str]:
        """The first digits of the hash of each LoRA's tensors: ``name: hash``."""
        pairs = (each.rpartition(":") for each in self.fields.get("Lora hashes", "").split(","))
        return {name.strip(): digest.strip() for name, colon, digest in pairs if colon}

    @property
    def embeddings(self) -> list[str]:
        """Names of the textual inversions that its prompts called: ``name: hash``, or of old ``name [hash]``."""
        said = self.fields.get("TI hashes") or self.fields.get("Used embeddings", "")
        return [name for each in said.split(",") if (name := re.sub(r":[^:]*$| \[\w*\]$", "", each.strip()))]


def read_parameters(text: str) -> Parameters:
    """Reads a chunk, whichever tool wrote it."""
    *lines, last = text.strip().split("\n")
    found = _FIELD.findall(last) if len(last) <= _LONGEST_LINE else []
    if len(found) < _FEWEST_FIELDS:
        lines, found = [*lines, last], []
    prompts: tuple[list[str], list[str]] = ([], [])
    which = 0
    for line in map(str.strip, lines):
        if line.startswith(_NEGATIVE):
            which = 1
        prompts[which].append(line.removeprefix(_NEGATIVE).strip() if which else line)
    prompt, negative = ("\n".join(each).strip() for each in prompts)
    words, tags = split_tags(prompt, "lora", "lyco")
    return Parameters(
        words.strip(),
        negative,
        {name: _unquoted(value.strip()) for name, value in found},
        tuple((tag.name, tag.scale or "1") for tag in tags),
    )


def _unquoted(value: str) -> str:
    if value[:1] == '"' == value[-1:]:
        try:
            return str(json.loads(value))
        except (ValueError, RecursionError):
            return value
    return value
