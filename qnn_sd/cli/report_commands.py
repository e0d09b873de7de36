"""The command lines that make a report's build and images again; files of the sender's are words in capitals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from qnn_sd.cli.build_options import BuildRequest
from qnn_sd.cli.command_line import in_quotes, is_typed, quoted
from qnn_sd.cli.documents.report import CommandToType
from qnn_sd.cli.typed_command import main_name
from qnn_sd.generate import Request
from qnn_sd.targets.adb.diagnostics import Privacy

# What stands for a file of the sender's, by the parameter's name.
_FILES = {
    "checkpoint": "CHECKPOINT",
    "vae": "VAE",
    "text_encoder": "TEXT_ENCODER",
    "tokenizer": "TOKENIZER",
    "encodings": "ENCODINGS",
    "prompts": "PROMPTS.txt",
}
_AS_TYPED = ("size", "rounding", "prediction")


def commands_to_type(
    build_request: BuildRequest, soc: str, requests: Sequence[Request], passed: bool, privacy: Privacy
) -> list[CommandToType]:
    """What to type for the same again.

    Args:
        build_request: what was built.
        soc: name of the device profile.
        requests: of the images, in their order.
        passed: whether there is a bundle, which generates them.
        privacy: what no line may name.
    """
    words = [quoted(word) for word in (*_build_words(build_request), "--soc", soc)]
    texts = [f"--prompt {in_quotes(request.prompt)}" for request in requests]
    found = [("This report", " ".join(["qnn-sd report", *words, *texts]))]
    if passed:
        found.append(("The bundle for a phone", " ".join(["qnn-sd compile", *words, "-o bundle"])))
    for request in requests if passed else ():
        asked = {name: getattr(request, name) for name in ("steps", "guidance", "scheduler", "seed")}
        options = [
            f"--{name} {value:g}" if name == "guidance" else f"--{name} {value}" for name, value in asked.items()
        ]
        line = " ".join(["qnn-sd run", in_quotes(request.prompt), *words, *options, "-o out.png"])
        found.append(("An image, on the HTP emulator; --target cpu generates it by the float graphs", line))
    return [CommandToType(does=does, line=privacy.redact(line)) for does, line in found]


def _build_words(build_request: BuildRequest) -> Iterator[str]:
    """The options that say what is built, as typed."""
    context, sources = click.get_current_context(), build_request.sources
    for option in context.command.params:
        name = option.name or ""
        if not is_typed(context, name):
            continue
        if name == "model":
            assert build_request.model is not None, "it was named"
            named = context.params[name] == build_request.model.name
            yield from (main_name(option), build_request.model.name if named else "MODEL.toml")
        elif name in _FILES:
            yield from (main_name(option), _FILES[name])
        elif name in _AS_TYPED:
            yield from (main_name(option), str(context.params[name]))
        elif name == "lora":
            for _path, scale in sources.loras:
                yield from (main_name(option), f"LORA:{scale:g}")
        elif name == "embedding":
            for _name, _path in sources.embeddings:
                yield from (main_name(option), "EMBEDDING")
