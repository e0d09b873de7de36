"""LoRAs, embeddings and VAE that another tool's image names: which are given, and LoRAs with which scale."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from qnn_sd.image_metadata import ImageLora, ImageSource
from qnn_sd.in_words import shown
from qnn_sd.prompt_tags import scale_number
from qnn_sd.webui_parameters import Parameters

# Of a hash, to tell a file by it.
_FEWEST_DIGITS = 8


@dataclass(frozen=True)
class NamedNetworks:
    """What an image names beside its checkpoint.

    Attributes:
        loras: names with their scales as they are written.
        lora_hashes: the first digits of the hashes of the LoRAs' tensors, by name.
        embeddings: names.
        vae: its name, which may be empty; None where none is named.
    """

    loras: tuple[tuple[str, str], ...] = ()
    lora_hashes: tuple[tuple[str, str], ...] = ()
    embeddings: tuple[str, ...] = ()
    vae: str | None = None

    @classmethod
    def of(cls, said: Parameters) -> NamedNetworks:
        """Those of a web UI's chunk."""
        vae = said.fields.get("VAE", "") if {"VAE", "VAE hash"} & said.fields.keys() else None
        return cls(said.loras, tuple(said.lora_hashes.items()), tuple(said.embeddings), vae)

    def remarks(self, loras: Sequence[ImageLora], embeddings: Collection[str], vae: ImageSource) -> Iterator[str]:
        """A line for each that isn't given, and for each LoRA with another scale.

        Args:
            loras: those that are given.
            embeddings: names that a prompt can call.
            vae: whose decoder runs.
        """
        for name, scale in self.loras:
            scales = [each.scale for each in loras if self._is(name, each)]
            if not scales:
                yield f"its LoRA {shown(name)} at {shown(scale)} must be given: --lora PATH:{shown(scale)}"
            elif (wanted := scale_number(scale)) is not None and wanted not in scales:
                yield (
                    f"its LoRA {shown(name)} was merged at {shown(scale)}, here at {scales[0]:g}: "
                    f"--lora PATH:{shown(scale)} does as the image did"
                )
        for name in self._not_among(embeddings):
            yield f"its embedding {shown(name)} must be given: --embedding PATH"
        if self.vae is not None and vae.kind == "checkpoint":
            yield f"its VAE {shown(self.vae)} must be given: --vae PATH"

    def remarks_on_bundle(self, embeddings: Collection[str]) -> Iterator[str]:
        """The same where a bundle runs that is there.

        Args:
            embeddings: names that a prompt can call.
        """
        for name, scale in self.loras:
            yield f"its LoRA {shown(name)} at {shown(scale)} counts only if the bundle was compiled with it"
        if self.vae is not None:
            yield f"its VAE {shown(self.vae)} counts only if the bundle was compiled with it"
        for name in self._not_among(embeddings):
            yield f"the bundle wasn't compiled with its embedding {shown(name)}"

    def _not_among(self, embeddings: Collection[str]) -> list[str]:
        known = {each.lower() for each in embeddings}
        return [name for name in self.embeddings if name.lower() not in known]

    def _is(self, name: str, given: ImageLora) -> bool:
        """By the name of its file, or by its hash if that was renamed."""
        digest = dict(self.lora_hashes).get(name, "")
        if len(digest) >= _FEWEST_DIGITS and given.tensors_sha256.startswith(digest.lower()):
            return True
        return PurePath(given.name).name.lower().removesuffix(".safetensors") == name.lower()
