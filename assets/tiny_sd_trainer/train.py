"""Trains the demo checkpoint from nothing, on images that ``scenes`` draws.

    python assets/tiny_sd_trainer/train.py --work build/tiny-sd --out assets/tiny-sd

Stages: tokenizer, VAE, text encoder (told to name a scene's attributes), UNet and text encoder
together (noise prediction). Each stage leaves its result in ``--work`` and is skipped when it
is there, so an interrupted run goes on. Needs the extra ``dev`` (torch, diffusers,
transformers). Every random number comes from ``--seed``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tiny_sd_trainer import scenes
from tiny_sd_trainer.bpe import train_tokenizer

SIDE = 128
VAE_FACTOR = 8


class Log:
    """Lines on stderr and in a file that is kept beside the checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path, self.start = path, time.monotonic()

    def __call__(self, line: str) -> None:
        line = f"{time.monotonic() - self.start:7.0f} s  {line}"
        print(line, file=sys.stderr, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")


def draw_batch(rng: np.random.Generator, count: int, side: int) -> torch.Tensor:
    images = np.stack([scenes.draw(scenes.random_scene(rng), side) for _ in range(count)])
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) * 2 - 1


def new_vae() -> AutoencoderKL:
    channels = (16, 32, 64, 64)
    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=SIDE,
    )


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE // VAE_FACTOR,
        block_out_channels=(64, 96, 128),
        layers_per_block=1,
        # No attention at 16x16: it would be half of the emulator's time, and 8x8 is fine enough a
        # grid for words to place shapes on.
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=96,
        attention_head_dim=(2, 3, 4),  # diffusers' name for the number of heads
        norm_num_groups=16,
    )


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=3,
            max_position_embeddings=77,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            projection_dim=96,
        )
    )


def rate(step: int, steps: int, peak: float, warmup: int = 100) -> float:
    """Linear warm-up, then a cosine down to nearly nothing."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * (0.5 * (1 + np.cos(np.pi * progress)) * 0.99 + 0.01)


def train_vae(work: Path, seed: int, log: Log, phases: list[tuple[int, int, int]]) -> AutoencoderKL:
    """``phases``: (side, batch, steps). Small images first: the network is convolutional, and they cost a quarter."""
    target = work / "vae"
    if target.exists():
        return AutoencoderKL.from_pretrained(target)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    vae = new_vae().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=1e-3, weight_decay=1e-4, betas=(0.9, 0.98), fused=True)
    for phase, (side, batch, steps) in enumerate(phases):
        peak = 2e-3 if phase == 0 else 6e-4
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = rate(step, steps, peak)
            images = draw_batch(rng, batch, side).to(memory_format=torch.channels_last)
            posterior = vae.encode(images).latent_dist
            restored = vae.decode(posterior.sample()).sample
            error = restored - images
            divergence = -0.5 * (1 + posterior.logvar - posterior.mean**2 - posterior.logvar.exp()).mean()
            loss = error.abs().mean() + 2 * error.square().mean() + 3e-4 * divergence
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimizer.step()
            if step % 100 == 0 or step == steps - 1:
                psnr = -10 * torch.log10(error.square().mean() / 4).item()
                log(
                    f"vae {side}px step {step}/{steps} loss {loss.item():.4f} PSNR {psnr:.1f} dB "
                    f"noise/signal {posterior.std.mean().item() / posterior.mean.std().item():.3f}"
                )
    with torch.no_grad():
        latents = vae.encode(draw_batch(rng, 256, SIDE)).latent_dist.sample()
    vae.register_to_config(scaling_factor=float(f"{1 / latents.std().item():.5g}"))
    log(f"vae scaling_factor {vae.config.scaling_factor}")
    vae.to(memory_format=torch.contiguous_format).save_pretrained(target)
    return vae


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> torch.Tensor:
    batch = tokenizer(captions, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    return batch.input_ids


ATTRIBUTES = {
    "count": 2,
    "background": len(scenes.BACKGROUNDS),
    "shape0": len(scenes.SHAPES),
    "colour0": len(scenes.COLOURS),
    "shape1": len(scenes.SHAPES) + 1,
    "colour1": len(scenes.COLOURS) + 1,
}


def attributes(scene: scenes.Scene) -> list[int]:
    first, second = scene.things[0], scene.things[1] if len(scene.things) == 2 else None
    return [
        len(scene.things) - 1,
        scenes.BACKGROUNDS.index(scene.background),
        scenes.SHAPES.index(first.shape),
        scenes.COLOURS.index(first.colour),
        scenes.SHAPES.index(second.shape) if second else len(scenes.SHAPES),
        scenes.COLOURS.index(second.colour) if second else len(scenes.COLOURS),
    ]


def train_text_encoder(work: Path, tokenizer: CLIPTokenizer, seed: int, log: Log, steps: int) -> CLIPTextModel:
    """Warm start: the end token must name the scene's attributes. The UNet then has words to listen to."""
    target = work / "text_encoder_warm"
    if target.exists():
        return CLIPTextModel.from_pretrained(target)
    torch.manual_seed(seed + 1)
    rng = np.random.default_rng(seed + 1)
    encoder = new_text_encoder(tokenizer)
    heads = nn.ModuleDict({name: nn.Linear(96, size) for name, size in ATTRIBUTES.items()})
    optimizer = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], lr=1e-3, fused=True)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, 1e-3)
        drawn = [scenes.random_scene(rng) for _ in range(64)]
        tokens = tokenize(tokenizer, [scenes.caption(scene, rng) for scene in drawn])[:, :32]
        labels = torch.tensor([attributes(scene) for scene in drawn])
        hidden = encoder(tokens).last_hidden_state
        end = (tokens == tokenizer.eos_token_id).int().argmax(1)
        summary = hidden[torch.arange(len(end)), end]
        logits = [head(summary) for head in heads.values()]
        loss = sum(F.cross_entropy(logit, labels[:, i]) for i, logit in enumerate(logits))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0 or step == steps - 1:
            right = torch.stack([logit.argmax(1) == labels[:, i] for i, logit in enumerate(logits)]).all(0)
            log(f"text step {step}/{steps} loss {loss.item():.4f} all right {right.float().mean().item():.2f}")
    encoder.save_pretrained(target)
    return encoder


def encode_dataset(work: Path, vae: AutoencoderKL, seed: int, log: Log, count: int) -> tuple[torch.Tensor, list[str]]:
    target = work / f"latents-{count}.npz"
    rng = np.random.default_rng(seed + 2)
    if target.exists():
        stored = np.load(target)
        return torch.from_numpy(stored["latents"]), json.loads(str(stored["captions"]))
    latents, captions = [], []
    torch.manual_seed(seed + 2)
    with torch.no_grad():
        for start in range(0, count, 64):
            drawn = [scenes.random_scene(rng) for _ in range(64)]
            captions += [scenes.caption(scene, rng) for scene in drawn]
            images = np.stack([scenes.draw(scene, SIDE) for scene in drawn]).astype(np.float32)
            batch = torch.from_numpy(images).permute(0, 3, 1, 2) * 2 - 1
            posterior = vae.encode(batch.contiguous(memory_format=torch.channels_last)).latent_dist
            latents.append(posterior.sample().contiguous() * vae.config.scaling_factor)
            if start % 6400 == 0:
                log(f"encoded {start}/{count} images")
    result = torch.cat(latents)
    np.savez(target, latents=result.numpy(), captions=json.dumps(captions))
    return result, captions


def train_unet(
    work: Path,
    tokenizer: CLIPTokenizer,
    encoder: CLIPTextModel,
    latents: torch.Tensor,
    captions: list[str],
    seed: int,
    log: Log,
    steps: int,
    batch: int,
) -> None:
    target = work / "unet"
    if target.exists():
        return
    torch.manual_seed(seed + 3)
    unet = new_unet().to(memory_format=torch.channels_last)
    encoder.train()
    parameters = [*unet.parameters(), *encoder.parameters()]
    averages = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, betas=(0.9, 0.99), fused=True)
    schedule = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    alphas = schedule.alphas_cumprod
    ids = tokenize(tokenizer, captions)
    empty = tokenize(tokenizer, [""])[0]
    state = work / "unet-state.safetensors"
    first = 0
    if state.exists():
        first = load_state(state, parameters, averages, optimizer)
        torch.manual_seed(seed + 3 + first)
        log(f"unet resumed at step {first}")
    running = 0.0
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, 1e-3, 200)
        rows = torch.randint(len(latents), (batch,))
        tokens = ids[rows].clone()
        tokens[torch.rand(batch) < 0.1] = empty  # classifier-free guidance dropout
        clean = latents[rows].contiguous(memory_format=torch.channels_last)
        noise = torch.randn_like(clean)
        # Stratified: every batch covers the whole range of times.
        times = ((torch.arange(batch) + torch.rand(batch)) / batch * 1000).long()
        alpha = alphas[times].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        with torch.autocast("cpu", dtype=torch.bfloat16):
            context = encoder(tokens).last_hidden_state
            predicted = unet(noisy, times, context).sample.float()
        # Min-SNR weighting, gamma 5 (Hang et al. 2023): easy low-noise steps don't drown the layout.
        snr = alpha / (1 - alpha)
        weight = torch.clamp(snr, max=5.0) / snr
        loss = (weight * (predicted - noise).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        decay = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(averages, [p.detach() for p in parameters], 1 - decay)
        running = loss.item() if step == first else 0.99 * running + 0.01 * loss.item()
        if step % 100 == 0 or step == steps - 1:
            log(f"unet step {step}/{steps} loss {running:.4f}")
        if (step + 1) % 500 == 0 or step == steps - 1:
            save_state(state, step + 1, parameters, averages, optimizer)
            export_averages(unet, encoder, averages, work / "latest")
    export_averages(unet, encoder, averages, work / "latest")
    shutil.copytree(work / "latest" / "text_encoder", work / "text_encoder", dirs_exist_ok=True)
    shutil.copytree(work / "latest" / "unet", target, dirs_exist_ok=True)


def save_state(
    path: Path,
    step: int,
    parameters: list[torch.Tensor],
    averages: list[torch.Tensor],
    optimizer: torch.optim.AdamW,
) -> None:
    """Everything that an interrupted training needs to go on, as safetensors."""
    tensors = {"step": torch.tensor(step)}
    for index, (parameter, average) in enumerate(zip(parameters, averages, strict=True)):
        tensors[f"{index}.weight"], tensors[f"{index}.average"] = parameter.detach(), average
        for name, value in optimizer.state[parameter].items():
            tensors[f"{index}.optimizer.{name}"] = value
    aside = path.with_suffix(".part")
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, aside)
    aside.replace(path)


def load_state(
    path: Path, parameters: list[torch.Tensor], averages: list[torch.Tensor], optimizer: torch.optim.AdamW
) -> int:
    """Puts a saved state back in place and returns its step."""
    tensors = load_file(path)
    for index, (parameter, average) in enumerate(zip(parameters, averages, strict=True)):
        parameter.detach().copy_(tensors[f"{index}.weight"])
        average.copy_(tensors[f"{index}.average"])
        prefix = f"{index}.optimizer."
        optimizer.state[parameter] = {
            name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)
        }
    return int(tensors["step"])


def export_averages(
    unet: UNet2DConditionModel, encoder: CLIPTextModel, averages: list[torch.Tensor], folder: Path
) -> None:
    """Saves the averaged weights, leaving those in training as they are."""
    parameters = [*unet.parameters(), *encoder.parameters()]
    kept = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for parameter, average in zip(parameters, averages, strict=True):
            parameter.copy_(average)
        unet.save_pretrained(folder / "unet")
        encoder.save_pretrained(folder / "text_encoder")
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)


def assemble(work: Path, out: Path) -> None:
    """diffusers' folder layout, with the scheduler of Stable Diffusion 1.5."""
    for part in ("tokenizer", "vae", "text_encoder"):
        shutil.copytree(work / part, out / part, dirs_exist_ok=True)
    # Half precision halves the download; the images are judged with the rounded weights.
    UNet2DConditionModel.from_pretrained(work / "unet").half().save_pretrained(out / "unet")
    (out / "scheduler").mkdir(parents=True, exist_ok=True)
    scheduler = {
        "_class_name": "PNDMScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "prediction_type": "epsilon",
        "clip_sample": False,
    }
    (out / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler, indent=2) + "\n")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
    }
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    shutil.copyfile(work / "train.log", out / "train.log")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vae-steps", type=int, nargs=2, default=(2400, 500), metavar=("AT64", "AT128"))
    parser.add_argument("--text-steps", type=int, default=800)
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--unet-steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    log = Log(options.work / "train.log")
    settings = {key: value for key, value in vars(options).items() if not isinstance(value, Path)}
    log(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {settings}")

    tokenizer_folder = options.work / "tokenizer"
    if not tokenizer_folder.exists():
        rng = np.random.default_rng(options.seed)
        train_tokenizer([scenes.caption(scenes.random_scene(rng), rng) for _ in range(20_000)], tokenizer_folder)
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    log(f"tokenizer: {len(tokenizer)} entries; 'a red circle' is {tokenizer('a red circle').input_ids}")
    vae = train_vae(options.work, options.seed, log, [(64, 32, options.vae_steps[0]), (SIDE, 16, options.vae_steps[1])])
    encoder = train_text_encoder(options.work, tokenizer, options.seed, log, options.text_steps)
    latents, captions = encode_dataset(options.work, vae, options.seed, log, options.images)
    log(f"latents: mean {latents.mean():.3f}, std {latents.std():.3f}")
    train_unet(
        options.work, tokenizer, encoder, latents, captions, options.seed, log, options.unet_steps, options.batch
    )
    assemble(options.work, options.out)
    log("done")


if __name__ == "__main__":
    main()
