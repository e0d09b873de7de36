"""LoRAs of every naming against diffusers' own loading and fusing of the same file; wrong ones are named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from conftest import CHECKPOINT
from diffusers import DDIMScheduler, StableDiffusionPipeline
from parity import check, reference_outputs
from peft import LoraConfig
from reference_models import LIKE_SD15_WIDE, ReferenceModels, save_random
from safetensors.torch import load_file, save_file
from test_loading import original
from transformers import CLIPTokenizer

from qnn_sd.errors import CheckpointError, QnnSdError, SettingError, UnsupportedModelError
from qnn_sd.export.checkpoint import Checkpoint, Sources, open_checkpoint, parse_lora
from qnn_sd.metrics import sqnr_db
from qnn_sd.pipeline.components import EXPORTS

LATENT, SIZE, RANK = (8, 8), (64, 64), 4
TOUCHED = ("text_encoder", "unet")
Tensors = dict[str, torch.Tensor]
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lora") / "folder"
    save_random(LIKE_SD15_WIDE, folder)
    return folder


def weights(checkpoint: Path, part: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Modules with a matrix or kernel, by their path with ``text_model.``."""
    models = ReferenceModels.load(checkpoint)
    model = {"unet": models.unet, "text_encoder": models.text_encoder}[part]
    for name, tensor in model.state_dict().items():
        if name.endswith(".weight") and tensor.ndim > 1 and "embedding." not in name:
            path = name.removesuffix(".weight")
            yield (path if part == "unet" else f"text_model.{path.removeprefix('text_model.')}"), tensor


def pair(weight: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Random down and up of a weight: a convolution's kernel is down's."""
    out, into, *kernel = weight.shape
    down = torch.randn(RANK, into, *kernel, generator=generator)
    up = torch.randn(out, RANK, *([1] * len(kernel)), generator=generator)
    # Enough to change every output, not so much that the network's values explode.
    return down * 0.1, up * 0.1


def written(
    checkpoint: Path, name: Callable[[str, str], tuple[str, str]], chosen: Callable[[str, str], bool], seed: int = 0
) -> Tensors:
    """A LoRA over the chosen modules, its tensors called as ``name(part, module)`` says."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for part in ("unet", "text_encoder"):
        for module, weight in weights(checkpoint, part):
            if chosen(part, module):
                down, up = pair(weight, generator)
                names = name(part, module)
                tensors[names[0]], tensors[names[1]] = down, up
    assert tensors
    return tensors


def kohya(part: str, module: str) -> tuple[str, str]:
    prefix = {"unet": "lora_unet", "text_encoder": "lora_te"}[part]
    flat = f"{prefix}_{module.replace('.', '_')}"
    return f"{flat}.lora_down.weight", f"{flat}.lora_up.weight"


def peft(part: str, module: str) -> tuple[str, str]:
    return f"{part}.{module}.lora_A.weight", f"{part}.{module}.lora_B.weight"


def diffusers_old(part: str, module: str) -> tuple[str, str]:
    """As diffusers 0.15 to 0.21 wrote them: on the attention processors, or beside the layer."""
    if part == "unet":
        owner, _, last = module.removesuffix(".0").rpartition(".")
        path = f"unet.{owner}.processor.{last}_lora"
    else:
        path = f"text_encoder.{module}.lora_linear_layer"
    return f"{path}.down.weight", f"{path}.up.weight"


def attention(part: str, module: str) -> bool:
    return (part == "text_encoder" and "self_attn" in module) or ".attn" in module


def linear(part: str, module: str) -> bool:
    return attention(part, module) or ".ff.net." in module or ".mlp." in module


def everything(part: str, module: str) -> bool:
    return True


def with_alphas(tensors: Tensors, *softmax_outputs: float) -> Tensors:
    """Alphas that are these softmax_outputs of the rank in turn, as half-precision scalars."""
    ends = sorted(name for name in tensors if name.endswith("lora_down.weight"))
    alphas = {
        name.replace("lora_down.weight", "alpha"): torch.tensor(
            RANK * softmax_outputs[number % len(softmax_outputs)]
        ).half()
        for number, name in enumerate(ends)
    }
    return {**tensors, **alphas}


def diffusers_pipeline(checkpoint: Path) -> StableDiffusionPipeline:
    models = ReferenceModels.load(checkpoint)
    tokenizer = CLIPTokenizer.from_pretrained(CHECKPOINT / "tokenizer")
    parts = (models.vae, models.text_encoder, tokenizer, models.unet, DDIMScheduler())
    return StableDiffusionPipeline(*parts, safety_checker=None, feature_extractor=None)


def fused(checkpoint: Path, files: list[tuple[Path, float]]) -> ReferenceModels:
    """The checkpoint with LoRAs as diffusers loads and fuses them."""
    pipe = diffusers_pipeline(checkpoint)
    for number, (path, scale) in enumerate(files):
        pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=f"lora{number}")
        components = [part for part in ("unet", "text_encoder") if hasattr(getattr(pipe, part), "peft_config")]
        pipe.fuse_lora(components=components, lora_scale=scale, adapter_names=[f"lora{number}"])
        pipe.unload_lora_weights()
    return ReferenceModels(pipe.unet.eval(), pipe.vae, pipe.text_encoder.eval())


def match(
    models: ReferenceModels, plain: Path, opened: Checkpoint, folder: Path, touched: tuple[str, ...] = TOUCHED
) -> None:
    """The touched components at 70 dB, and far from the plain checkpoint's."""
    outputs = reference_outputs(models, LATENT, {}, seed=6)
    before = reference_outputs(ReferenceModels.load(plain), LATENT, {}, seed=6)
    for component in touched:
        # Or the LoRA would be too weak to see a wrong one.
        assert sqnr_db(before[component][1], outputs[component][1]) < 30
        check(opened, component, SIZE, folder / component, outputs[component])


NAMINGS = {
    "kohya-linear": (kohya, linear, False),
    "kohya-conv-alpha": (kohya, everything, True),
    "peft": (peft, everything, False),
    "diffusers-old": (diffusers_old, attention, False),
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_loras_are_merged_as_diffusers_does(naming: str, checkpoint: Path, tmp_path: Path) -> None:
    name, chosen, alphas = NAMINGS[naming]
    tensors = written(checkpoint, name, chosen)
    path = tmp_path / "lora.safetensors"
    save_file(with_alphas(tensors, 0.5) if alphas else tensors, path)
    opened = open_checkpoint(Sources(checkpoint, loras=((path, 0.7),)))
    match(fused(checkpoint, [(path, 0.7)]), checkpoint, opened, tmp_path / "onnx")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_loras_in_half_precision_go_into_single_files(dtype: torch.dtype, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    save_file({n: t.to(dtype) for n, t in written(checkpoint, kohya, linear).items()}, path)
    rounded = tmp_path / "rounded.safetensors"  # what diffusers' float32 models compute with
    save_file({n: t.float() for n, t in load_file(path).items()}, rounded)
    file = original(checkpoint, tmp_path / "model.safetensors")
    match(
        fused(checkpoint, [(rounded, 1.0)]),
        checkpoint,
        open_checkpoint(Sources(file, loras=((path, 1.0),))),
        tmp_path / "onnx",
    )


def test_several_loras_add_up(checkpoint: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    save_file(with_alphas(written(checkpoint, kohya, linear, 1), 0.5), first)
    save_file(written(checkpoint, peft, attention, 2), second)
    both = [(first, 0.5), (second, -0.8)]
    opened = open_checkpoint(Sources(checkpoint, loras=tuple(both)))
    match(fused(checkpoint, both), checkpoint, opened, tmp_path / "onnx")


def test_each_module_has_its_own_alpha(checkpoint: Path, tmp_path: Path) -> None:
    """diffusers 0.42 drops alphas that differ on attention layers, so the judge is torch: a convolution by
    ``down`` and one by ``up`` after it are one convolution by the merged kernel."""
    tensors = with_alphas(written(checkpoint, kohya, everything), 0.5, 1.0, 2.0)
    path = tmp_path / "lora.safetensors"
    save_file(tensors, path)
    weights_of = open_checkpoint(Sources(checkpoint, loras=((path, 0.7),))).weights
    for part in TOUCHED:
        source = weights_of(part)
        for module, weight in weights(checkpoint, part):
            down, up = (tensors[name] for name in kohya(part, module))
            alpha = tensors[kohya(part, module)[0].replace("lora_down.weight", "alpha")]
            if weight.ndim == 4:
                product = torch.nn.functional.conv2d(down.permute(1, 0, 2, 3), up).permute(1, 0, 2, 3)
            else:
                product = up @ down
            name = f"{module}.weight"
            name = name if source.has(name) else name.removeprefix("text_model.")
            found = torch.from_numpy(source.get(name, tuple(weight.shape)))
            torch.testing.assert_close(found, weight + 0.7 * float(alpha) / RANK * product)


def test_what_diffusers_writes_keeps_its_alpha(checkpoint: Path, tmp_path: Path) -> None:
    """diffusers notes alphas in the header's metadata alone."""
    pipe = diffusers_pipeline(checkpoint)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=list(ATTENTION), init_lora_weights=False)
    pattern = {"mid_block.attentions.0.transformer_blocks.0.attn1.to_q": RANK / 2}
    config.alpha_pattern = pattern
    pipe.unet.add_adapter(config, "default")
    torch.manual_seed(4)
    for name, parameter in pipe.unet.named_parameters():
        if "lora_" in name:
            parameter.data = 0.1 * torch.randn_like(parameter)
    pipe.unet.save_lora_adapter(tmp_path, weight_name="unet_alone.safetensors")
    state = load_file(tmp_path / "unet_alone.safetensors")
    StableDiffusionPipeline.save_lora_weights(
        tmp_path, unet_lora_layers=state, weight_name="whole.safetensors", unet_lora_adapter_metadata=config.to_dict()
    )
    assert any(name.startswith("unet.") for name in load_file(tmp_path / "whole.safetensors"))
    models = fused(checkpoint, [(tmp_path / "whole.safetensors", 1.0)])
    for name in ("whole", "unet_alone"):
        opened = open_checkpoint(Sources(checkpoint, loras=((tmp_path / f"{name}.safetensors", 1.0),)))
        match(models, checkpoint, opened, tmp_path / name, ("unet",))


def test_only_what_a_lora_touches_gets_another_key(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    save_file(written(checkpoint, kohya, lambda part, module: part == "unet" and attention(part, module)), path)
    plain = open_checkpoint(Sources(checkpoint))
    opened = [open_checkpoint(Sources(checkpoint, loras=((path, scale),))) for scale in (0.5, 1.0)]
    for component in ("text_encoder", "vae_decoder", "vae_encoder"):
        for other in opened:
            part = EXPORTS[component].part
            assert other.files(part) == plain.files(part)
            assert other.settings(part) == plain.settings(part)
    assert path in opened[0].files("unet").values()
    assert opened[0].settings("unet") != opened[1].settings("unet")


def refused(checkpoint: Path, tensors: Tensors, tmp_path: Path, **metadata: str) -> QnnSdError:
    path = tmp_path / "lora.safetensors"
    save_file(tensors, path, metadata or None)
    with pytest.raises(QnnSdError) as caught:
        open_checkpoint(Sources(checkpoint, loras=((path, 1.0),)))
    assert "lora.safetensors" in str(caught.value)
    assert caught.value.hint
    return caught.value


MODULE = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
DOWN, UP = f"lora_unet_{MODULE}.lora_down.weight", f"lora_unet_{MODULE}.lora_up.weight"


@pytest.mark.parametrize(
    ("names", "kin"),
    [
        (["lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"], "SDXL"),
        (["lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q.lora_down.weight"], "SDXL"),
        (["text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_A.weight"], "SDXL"),
        (["lora_unet_double_blocks_0_img_attn_proj.lora_down.weight"], "Flux"),
        (["transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight"], "Flux"),
        (["lora_unet_joint_blocks_0_x_block_mlp_fc1.lora_down.weight"], "Stable Diffusion 3"),
    ],
)
def test_loras_for_other_architectures_are_named(names: list[str], kin: str, checkpoint: Path, tmp_path: Path) -> None:
    error = refused(checkpoint, {name: torch.zeros(4, 4) for name in names}, tmp_path)
    assert isinstance(error, UnsupportedModelError)
    assert f"is a LoRA for {kin}" in error.what
    assert names[0] in error.why


@pytest.mark.parametrize("module", [MODULE, "input_blocks_1_1_transformer_blocks_0_attn2_to_k"])
@pytest.mark.parametrize("end", ["lora_down.weight", "lora_A", "hada_w1_b"])
def test_a_lora_for_stable_diffusion_1_is_told_by_its_width(
    module: str, end: str, checkpoint: Path, tmp_path: Path
) -> None:
    error = refused(checkpoint, {f"lora_unet_{module}.{end}": torch.zeros(4, 768)}, tmp_path)
    assert "is a LoRA for a model whose text is 768 wide (sd15)" in error.what


@pytest.mark.parametrize(("width", "kin"), [(2048, "SDXL"), (1024, "Stable Diffusion 2.x")])
def test_loras_of_another_width_are_named(width: int, kin: str, checkpoint: Path, tmp_path: Path) -> None:
    error = refused(checkpoint, {DOWN: torch.zeros(4, width), UP: torch.zeros(32, 4)}, tmp_path)
    misfit = f"times {DOWN} [4, {width}] doesn't fit"
    if kin == "SDXL":  # for which there is no checkpoint that could have been forgotten
        assert isinstance(error, UnsupportedModelError)
        assert misfit in error.why
        assert error.hint == "Use a LoRA for Stable Diffusion 1.x."
    else:
        assert misfit in error.what
    assert kin in f"{error.what} {error.why}"


def test_a_lora_for_text_that_no_model_has_is_named_by_its_width(checkpoint: Path, tmp_path: Path) -> None:
    error = refused(checkpoint, {DOWN: torch.zeros(4, 640), UP: torch.zeros(32, 4)}, tmp_path)
    assert "is a LoRA for a model whose text is 640 wide, folder's is 64" in error.what
    assert error.hint == "Give the --checkpoint that it was made for."


def test_keys_that_match_nothing_are_named(checkpoint: Path, tmp_path: Path) -> None:
    good = written(checkpoint, kohya, attention)
    error = refused(checkpoint, {**good, "lora_unet_down_blocks_9_x.lora_down.weight": torch.zeros(4, 4)}, tmp_path)
    assert isinstance(error, CheckpointError)
    assert f"1 of {len(good) + 1} tensors that match nothing" in error.what
    assert "lora_unet_down_blocks_9_x" in error.why
    vae = refused(checkpoint, load_file(next((checkpoint / "vae").glob("*.safetensors"))), tmp_path)
    assert "is a VAE alone, and not a LoRA" in vae.what
    assert "--vae" in vae.hint
    assert "is empty" in refused(checkpoint, {}, tmp_path).what


@pytest.mark.parametrize(("name", "kind"), [("oft_blocks", "OFT"), ("b1.weight", "GLoRA"), ("vera_lambda_b", "VeRA")])
def test_kinds_that_are_not_merged_are_named(name: str, kind: str, checkpoint: Path, tmp_path: Path) -> None:
    error = refused(checkpoint, {f"lora_unet_{MODULE}.{name}": torch.zeros(4, 4)}, tmp_path)
    assert isinstance(error, UnsupportedModelError)
    assert kind in error.what


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"lora_unet_{MODULE}.hada_w1_a": torch.zeros(32, 4)}, "without the w1_b tensor"),
        ({f"lora_unet_{MODULE}.dora_scale": torch.zeros(7, 1)}, "dora_scale [7, 1] doesn't fit"),
        ({f"lora_unet_{MODULE}.diff_b": torch.zeros(32)}, "has no bias"),
        ({UP: None}, "without the up tensor"),
        ({DOWN: None}, "without the down tensor"),
        ({DOWN: torch.zeros(3, 64)}, "don't fit each other"),
        ({DOWN: torch.zeros(())}, "don't fit each other"),
        ({UP: torch.zeros(7, 4)}, "doesn't fit"),
        ({UP: torch.zeros(128)}, "don't fit each other"),
        ({UP: torch.zeros(0, 4)}, "doesn't fit"),
        ({f"lora_unet_{MODULE}.alpha": torch.zeros(2)}, "has 2 values"),
        ({f"lora_unet_{MODULE}.alpha": torch.tensor(float("nan"))}, "holds NaN"),
    ],
)
def test_damaged_loras_are_refused(
    change: dict[str, torch.Tensor | None], message: str, checkpoint: Path, tmp_path: Path
) -> None:
    tensors = {DOWN: torch.zeros(4, 64), UP: torch.zeros(32, 4), **change}
    assert message in str(refused(checkpoint, {n: t for n, t in tensors.items() if t is not None}, tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{", "metadata"),
        (json.dumps({"unet.r": 4, "unet.lora_alpha": "much"}), "alpha 'much'"),
    ],
)
def test_metadata_that_cannot_be_is_refused(settings: str, message: str, checkpoint: Path, tmp_path: Path) -> None:
    tensors = {DOWN: torch.zeros(4, 64), UP: torch.zeros(32, 4)}
    assert message in refused(checkpoint, tensors, tmp_path, lora_adapter_metadata=settings).what


@pytest.mark.parametrize(("value", "message"), [(float("nan"), "holds NaN"), (3e38, "leaves no finite weight")])
def test_a_lora_that_is_not_finite_is_named_when_it_is_merged(
    value: float, message: str, checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "lora.safetensors"
    save_file({DOWN: torch.full((4, 64), value), UP: torch.ones(32, 4)}, path)
    read = open_checkpoint(Sources(checkpoint, loras=((path, 1.0),))).weights("unet")
    name = MODULE.replace(
        "_blocks_0_attentions_0_transformer_blocks_0_", "_blocks.0.attentions.0.transformer_blocks.0."
    )
    with pytest.raises(CheckpointError, match=message) as caught:
        read.get(f"{name.replace('attn2_', 'attn2.')}.weight", (32, 64))
    assert f"lora_unet_{MODULE}" in caught.value.what


def test_scales_are_read_off_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.safetensors", "b:2.safetensors", "c.safetensors:3"):
        Path(name).touch()
    assert parse_lora("a.safetensors") == (Path("a.safetensors"), 1.0)
    assert parse_lora("a.safetensors:-0.5") == (Path("a.safetensors"), -0.5)
    assert parse_lora("b:2.safetensors") == (Path("b:2.safetensors"), 1.0)
    assert parse_lora("b:2.safetensors:.25") == (Path("b:2.safetensors"), 0.25)
    assert parse_lora("c.safetensors:3") == (Path("c.safetensors:3"), 1.0)  # an existing path wins
    for scale in ("much", "nan", "inf", ""):
        with pytest.raises(SettingError, match="no scale"):
            parse_lora(f"a.safetensors:{scale}")
    assert parse_lora("owner/name:0.5") == ("owner/name", 0.5)
    assert parse_lora("owner/name/ink.safetensors") == ("owner/name/ink.safetensors", 1.0)
    for text in ("nowhere.safetensors", "nowhere.safetensors:0.5", "owner/nowhere.safetensors", ":1"):
        with pytest.raises(CheckpointError, match="is missing"):
            parse_lora(text)
