"""What ``qnn-sd run`` remarks on prompts: marks, names of embeddings, what was cut, weights beyond calibration."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import click

from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.command_line import is_typed
from qnn_sd.cli.prompt_marks import remarks_on_marks
from qnn_sd.compile.bisect.input_values import encoded_range
from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.console import Console
from qnn_sd.export.checkpoint import Sources
from qnn_sd.generate import Generation, Request, Tokens
from qnn_sd.in_words import shown
from qnn_sd.prompt_tags import escaped

# As other tools call an embedding, whatever it is called.
_CALL = re.compile(r"(?<![\w<])embedding:\s*+([\w.-]++)", re.IGNORECASE)
# Of the width of the calibrated range: less is lost in rounding.
_BEYOND = 0.01


def remark_on_typed_prompt(console: Console, prompt: str) -> None:
    """Warns of a prompt that is rather a file, a command or a placeholder; it may be meant all the same."""
    commands = click.get_current_context().find_root().command
    if os.path.isfile(prompt):  # noqa: PTH113 (a prompt may be too long for a path)
        console.warn(f"the prompt is the name of a file here: {prompt}")
    elif isinstance(commands, click.Group) and prompt in commands.commands:
        console.warn(f"the prompt is the name of a command: {prompt}")
    elif prompt == "PROMPT":
        console.warn("PROMPT stands for a prompt of your own")


def remark_on_marks(console: Console, context: click.Context, sources: Sources | None) -> None:
    """Warns of marks in a typed prompt that do nothing here; ``--like`` speaks of an image's own.

    Args:
        console: where it is said.
        context: with the typed prompts.
        sources: with the LoRAs that were given; None where a bundle runs that is there.
    """
    # The name of a folder or hub id may have a dot: ink-v1.5.
    named = [(Path(path).name.lower(), scale) for path, scale in sources.loras] if sources is not None else []
    loras = None if sources is None else {name.removesuffix(".safetensors"): scale for name, scale in named}
    for parameter, what in (("prompt", "prompt"), ("negative", "negative prompt")):
        if is_typed(context, parameter):
            for line in remarks_on_marks(context.params[parameter], what, loras):
                console.warn(line)


def remark_on_negative(console: Console, request: Request, passes: int) -> None:
    """Warns of a typed negative prompt that no pass of the UNet is given."""
    if passes == 1 and request.negative.strip() and is_typed(click.get_current_context(), "negative"):
        cause = "the guidance scale is 1" if request.guidance == 1 else "this model has one pass a step"
        console.warn(f"the negative prompt does nothing: {cause}")


def remark_on_embeddings(
    console: Console, request: Request, given: Sequence[str] | None, tokens: Sequence[Tokens]
) -> None:
    """Warns of embeddings that no prompt calls, and of calls of one that wasn't given.

    Args:
        console: where it is said.
        request: what is generated.
        given: names of the embeddings; None where a bundle runs that is there, to which none can be given.
        tokens: of the prompts.
    """
    called = {name.lower() for each in tokens for name in each.called}
    texts = (request.prompt, request.negative)
    for name in given or ():
        # ``name_1`` is its second vector.
        if any(each == name.lower() or re.fullmatch(rf"{re.escape(name.lower())}_\d+", each) for each in called):
            continue
        meant = next((found for text in texts if (found := _almost(name, text))), None)
        # Its brackets would be marks.
        spelled = shown(name if request.plain else escaped(name))
        instead = f" instead of '{meant}'" if meant not in (None, spelled) else ", as a word of its own"
        console.warn(f"no prompt calls the embedding {shown(name)}: write '{spelled}'{instead}")
    if request.plain:
        return
    known = called | {name.lower() for name in given or ()}
    cure = "the bundle wasn't compiled with it" if given is None else "give the file as --embedding"
    for call in (each for text in texts for each in _CALL.finditer(text)):
        word = call[1].rstrip(".,").lower()
        if not any(word == name or word.startswith((f"{name}.", f"{name}_")) for name in known):
            console.warn(f"{shown(call[0])} is read as plain words: {cure}")


def _almost(name: str, text: str) -> str | None:
    """Where a text has a name with other brackets, hyphens, underlines and spaces."""
    letters = re.findall(r"[^\W_]", name)
    if not letters:
        return None
    spelled = r"[\W_]{0,3}".join(letters)
    found = re.search(rf"[(\[<]?(?<![^\W_]){spelled}[)\]>]?(?![^\W_])", text, re.IGNORECASE)
    return shown(found[0]) if found else None


def remark_on_prompts(
    console: Console, request: Request, result: Generation, bundle: OpenBundle, *, builds: bool = True
) -> None:
    """Warns of an empty prompt, of what of a long one was cut, and of weights beyond the calibrated range.

    Args:
        console: where it is said.
        request: what was generated.
        result: with the prompts' tokens.
        bundle: that generated it.
        builds: whether the command could build float graphs instead.
    """
    if not request.prompt.strip():
        console.warn("the prompt is empty: the image shows whatever the model likes.")
    used = (("prompt", result.prompt), ("negative prompt", result.negative))[: bundle.info.passes(request.guidance)]
    for name, tokens in used:
        if tokens.cut:
            console.warn(f"the {name} is too long: {tokens.used} tokens were used, this was cut: {_shortened(tokens)}")
    chunks = [chunk for _, tokens in used for chunk in tokens.chunks]
    weighted = any(chunk.weights is not None for chunk in chunks)
    called = any(tokens.called for _, tokens in used)
    if not weighted and not called:
        return
    calibrated = calibrated_text_range(bundle)
    if calibrated is None:
        return
    (low, high), (least, greatest) = calibrated, result.text_range
    if min(least - low, high - greatest) < -_BEYOND * (high - low):
        in_float = ", or --target cpu in float, don't" if builds else " don't"
        console.warn(
            f"{'weights' if weighted else 'embeddings'} in the prompt take the text states to {least:.1f} … "
            f"{greatest:.1f}, beyond the calibrated {low:.1f} … {high:.1f}: what is over is cut off. "
            f"Smaller weights{in_float}"
        )


def calibrated_text_range(bundle: OpenBundle) -> tuple[float, float] | None:
    """The range of text states that a bundle's quantized UNet takes; None for a float one."""
    part = bundle.info.components["unet"]
    if part.kind == "float" or (part.kind == "context_binary" and part.fallback is None):
        return None
    path = bundle.file("unet") if part.kind == "qdq" else bundle.fallback("unet")
    return encoded_range(QdqGraph(path.parent), "encoder_hidden_states")


def _shortened(tokens: Tokens, most: int = 300) -> str:
    cut = tokens.cut
    return cut if len(cut) <= most else f"{cut[:most]}… ({len(cut)} characters)"
