"""What people type for an option or a command that is called otherwise here."""

from __future__ import annotations

from collections.abc import Mapping

# Accepted as well, and not listed in the help: what diffusers' scripts, web UIs and adb call it.
ALSO: Mapping[str, tuple[str, ...]] = {
    "--guidance": ("--guidance-scale", "--cfg", "--cfg-scale"),
    "--guidance-interval": ("--cfg-interval",),
    "--negative": ("--negative-prompt",),
    "--steps": ("--num-inference-steps", "--sampling-steps"),
    "--scheduler": ("--sampler", "--sampling-method"),
    "--count": ("--num-images", "--batch-count"),
    "--size": ("--resolution",),
    "--output": ("--out", "--file"),
    "--checkpoint": ("--ckpt",),
    "--soc": ("--chip", "--chipset"),
    "--perf-mode": ("--mode",),
    "--version": ("-v",),
    # Their only file.
    "--report": ("-o", "--output"),
    "--plot": ("-o", "--output"),
}
# Values to show where one was bad or forgotten.
EXAMPLES: Mapping[str, str] = {
    "--steps": "20",
    "--seed": "42",
    "--guidance": "7.5",
    "--guidance-interval": "0.2:0.9",
    "--negative": '"blurry, text"',
    "--scheduler": "euler",
    "--count": "4",
    "--size": "512x768",
    "--soc": "sm8650",
    "--model": "sd15",
    "--checkpoint": "dream.safetensors",
    "--lora": "style.safetensors:0.8",
    "--clip-skip": "2",
    "--prompt-chunks": "2",
    "--device": "R5CT1234ABC",
    "--port": "5755",
    "--older-than": "30",
}
# Refused, with what to do instead.
INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(
        ("--width", "--height", "-W", "-H", "--W", "--H"), "The size is one option: --size 512x768 (width x height)."
    ),
    **dict.fromkeys(
        ("-v", "--verbose", "-vv"),
        "Progress and remarks are shown as it is; --debug adds a failure's traceback. Leave it out.",
    ),
    **dict.fromkeys(("-V", "--version"), "Type qnn-sd --version."),
    **dict.fromkeys(("--batch", "--batch-size"), "Type -n 4: images are made one after the other."),
    **dict.fromkeys(("--bits", "--weight-bits"), "Bit widths are settings of a model config: docs/quantization.md."),
    "--overwrite": "Type --force.",
    "--gpu": "There is no target for a GPU. Leave it out, or choose one with --target.",
    "--cpu": "Type --target cpu.",
    "--emulator": "Type --target emulator.",
    "--no-cache": "Type --cache FOLDER with an empty folder.",
    **dict.fromkeys(
        ("--strength", "--image", "--init-image", "--img2img", "--mask"), "Images are made from text alone here."
    ),
    "--all": "All is what holds without it: leave it out.",
    "--no-color": "Set NO_COLOR=1 in the environment.",
}
# Commands by the words that people try.
COMMANDS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *(
                "generate",
                "gen",
                "txt2img",
                "text2img",
                "text-to-image",
                "t2i",
                "image",
                "imagine",
                "infer",
                "inference",
            ),
            *("prompt", "create", "draw", "paint", "sample", "picture"),
        ),
        "run",
    ),
    **dict.fromkeys(("build", "make", "convert", "bundle"), "compile"),
    **dict.fromkeys(("quantise", "quant", "calibrate", "ptq"), "quantize"),
    **dict.fromkeys(("benchmark", "measure", "time"), "bench"),
    **dict.fromkeys(("validate", "test", "prove", "compare"), "verify"),
    **dict.fromkeys(("html", "page", "summary", "summarize", "show", "view"), "report"),
    **dict.fromkeys(("estimate", "costs", "flops"), "cost"),
    **dict.fromkeys(("device", "phones", "phone", "list-devices", "adb", "list"), "devices"),
    **dict.fromkeys(("clean", "remove", "uninstall", "delete", "unpush"), "unstage"),
    **dict.fromkeys(("check", "health", "diagnose", "status", "info", "diag"), "doctor"),
    **dict.fromkeys(("download", "install", "libraries"), "runtime fetch"),
    **dict.fromkeys(("emulate", "emulator", "phone-emulator", "vphone", "simulator"), "virtual-phone"),
    **dict.fromkeys(("completions", "complete", "autocomplete"), "completion"),
    **dict.fromkeys(("show", "read", "dump", "describe"), "inspect"),
    "to-onnx": "export",
    "onnx": "export",
}
