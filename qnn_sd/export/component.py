"""Exports one component of a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnn_sd.errors import SettingError
from qnn_sd.export.checkpoint import Checkpoint, TensorSource
from qnn_sd.export.checkpoint.tensor_names import first_names
from qnn_sd.export.graph import Graph
from qnn_sd.export.text_encoder import TextEncoderBuilder
from qnn_sd.export.unet import UnetBuilder
from qnn_sd.export.vae import VaeBuilder


@dataclass(frozen=True)
class GraphSize:
    """The static sizes that a component's graph is built for.

    Attributes:
        latent_height: in latent pixels.
        latent_width: in latent pixels.
        tokens: length of the text embedding, of all chunks.
    """

    latent_height: int
    latent_width: int
    tokens: int


# Adds a component's inputs, nodes and outputs to a graph: from its parsed ``config.json``, its tensors, its sizes.
BuildGraph = Callable[[Graph, Mapping[str, Any], TensorSource, GraphSize], None]


@dataclass(frozen=True)
class ComponentExport:
    """How a component's float graph is built.

    Attributes:
        name: of the component.
        part: the part of the checkpoint that holds its tensors: ``text_encoder``, ``unet`` or ``vae``.
        build: adds it to a graph.
        ignored_tensors: prefixes of the part's tensors that it doesn't read: they belong to another component.
            A tensor that is neither read nor listed here is spare, which is said.
    """

    name: str
    part: str
    build: BuildGraph
    ignored_tensors: tuple[str, ...] = ()


def _text_encoder(g: Graph, config: Mapping[str, Any], weights: TensorSource, _size: GraphSize) -> None:
    TextEncoderBuilder(config).build(g, weights)


def _unet(g: Graph, config: Mapping[str, Any], weights: TensorSource, size: GraphSize) -> None:
    UnetBuilder(config).build(g, weights, size.latent_height, size.latent_width, size.tokens)


def _vae_decoder(g: Graph, config: Mapping[str, Any], weights: TensorSource, size: GraphSize) -> None:
    VaeBuilder(config).build_decoder(g, weights, size.latent_height, size.latent_width)


def _vae_encoder(g: Graph, config: Mapping[str, Any], weights: TensorSource, size: GraphSize) -> None:
    VaeBuilder(config).build_encoder(g, weights, size.latent_height, size.latent_width)


# Old files keep CLIP's position indices, which are no weights.
TEXT_ENCODER = ComponentExport(
    "text_encoder",
    "text_encoder",
    _text_encoder,
    ("text_model.embeddings.position_ids", "embeddings.position_ids", "text_projection."),
)
UNET = ComponentExport("unet", "unet", _unet)
VAE_DECODER = ComponentExport("vae_decoder", "vae", _vae_decoder, ("encoder.", "quant_conv."))
VAE_ENCODER = ComponentExport("vae_encoder", "vae", _vae_encoder, ("decoder.", "post_quant_conv."))


_BUILDERS: Mapping[str, type[TextEncoderBuilder] | type[UnetBuilder] | type[VaeBuilder]] = {
    "text_encoder": TextEncoderBuilder,
    "unet": UnetBuilder,
    "vae": VaeBuilder,
}
_LAYER = re.compile(r"(?:text_model\.)?encoder\.layers\.(\d+)\.")


@dataclass(frozen=True)
class ModelMetadata:
    """What the generation loop must know of a checkpoint.

    Attributes:
        factor: pixels per latent pixel along one side.
        latent_channels: of the latent.
        scaling_factor: what latents were multiplied with in training.
        tokens: length of a chunk of a prompt.
        time_cond_proj_dim: width of the guidance embedding (LCM checkpoints), or None.
    """

    factor: int
    latent_channels: int
    scaling_factor: float
    tokens: int
    time_cond_proj_dim: int | None


def model_metadata(checkpoint: Checkpoint) -> ModelMetadata:
    """Reads a checkpoint's metadata from the networks' configs.

    Raises:
        UnsupportedModelError: a config asks for something that isn't built.
    """
    vae = VaeBuilder(checkpoint.config("vae"))
    if vae.options["scaling_factor"] <= 0:
        vae.options.refuse("scaling_factor", vae.options["scaling_factor"], ("numbers over 0",))
    return ModelMetadata(
        vae.factor,
        vae.options["latent_channels"],
        vae.options["scaling_factor"],
        TextEncoderBuilder(checkpoint.config("text_encoder")).tokens,
        UnetBuilder(checkpoint.config("unet")).options["time_cond_proj_dim"],
    )


def export_component(
    checkpoint: Checkpoint, component: ComponentExport, height: int, width: int, folder: Path, prompt_chunks: int = 1
) -> dict[str, Any]:
    """Writes a component's float graph to ``folder``.

    Args:
        checkpoint: an open one.
        component: how it is built.
        height: of the image, in pixels.
        width: of the image, in pixels.
        folder: existing empty folder.
        prompt_chunks: chunks of text that the UNet takes.

    Returns:
        Metadata for the manifest; ``remarks`` are lines on what was left unread, if anything was.

    Raises:
        CheckpointError: files that are missing, damaged or don't fit each other.
        UnsupportedModelError: a config that asks for something that isn't built.
        SettingError: a size that the architecture can't have.
    """
    weights = checkpoint.weights(component.part)
    model = model_metadata(checkpoint)
    if height % model.factor or width % model.factor:
        raise SettingError(
            f"An image of {width}x{height} doesn't fit this VAE",
            why=f"It makes latents of one pixel for every {model.factor}.",
            hint=f"Choose a size in steps of {model.factor} pixels.",
        )
    size = GraphSize(height // model.factor, width // model.factor, model.tokens * prompt_chunks)
    config = checkpoint.config(component.part)
    write_graph(component, config, weights, size, folder)
    remarks = [*_on_unknown_options(component.part, config)]
    # Of layers that are skipped the checkpoint tells, whether this is built or cached.
    if spare := [name for name in weights.spare(component.ignored_tensors) if not _LAYER.match(name)]:
        remarks.append(f"{component.part}: {first_names(spare)} that nothing reads")
    return {"height": height, "width": width, **({"remarks": remarks} if remarks else {})}


def _on_unknown_options(part: str, config: Mapping[str, Any]) -> Iterator[str]:
    if part in _BUILDERS and (unknown := _BUILDERS[part](config).options.unknown):
        yield f"{part}: its config has {', '.join(unknown)}, which nothing reads"


def write_graph(
    component: ComponentExport, config: Mapping[str, Any], weights: TensorSource, size: GraphSize, folder: Path
) -> None:
    """Writes a component's float graph from any source of tensors.

    Args:
        component: how it is built.
        config: its part's parsed ``config.json``.
        weights: its part's tensors.
        size: the sizes that it is built for.
        folder: existing empty folder.
    """
    with Graph(component.name, folder) as g:
        component.build(g, config, weights, size)
