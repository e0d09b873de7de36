"""A bundle is held against its manifest, and can't reach out of its folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qnn_sd import artifact
from qnn_sd.bundle_manifest import BUNDLE_FILE, OpenBundle
from qnn_sd.errors import ArtifactError
from qnn_sd.pipeline import BuildPipeline


@pytest.fixture
def bundle(pipeline: BuildPipeline, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(pipeline.cpu_bundle("float").folder, tmp_path / "bundle")
    return tmp_path / "bundle"


def changed(bundle: Path, **changes: object) -> Path:
    """The bundle with other contents of bundle.json, and a manifest that fits them."""
    file = bundle / BUNDLE_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    manifest = json.loads((bundle / artifact.MANIFEST).read_text())
    manifest["files"][BUNDLE_FILE] = {"bytes": file.stat().st_size, "sha256": artifact.sha256_of_file(file)}
    (bundle / artifact.MANIFEST).write_text(json.dumps(manifest))
    return bundle


def test_it_says_what_the_loop_must_know(bundle: Path) -> None:
    info = OpenBundle(artifact.load(bundle)).info
    assert (info.height, info.width, info.factor, info.latent_channels, info.tokens) == (128, 128, 8, 4, 77)
    assert info.soc is None
    assert info.time_cond_proj_dim is None
    assert info.padding_token == "<|endoftext|>"
    assert set(info.components) == {"text_encoder", "unet", "vae_decoder"}


@pytest.mark.parametrize("name", ["../../secret.onnx", "/etc/passwd", "unet/../../x"])
def test_files_outside_are_refused(name: str, bundle: Path) -> None:
    part = {"file": name, "kind": "float", "fallback": None}
    with pytest.raises(ArtifactError, match="is not a bundle") as caught:
        OpenBundle(artifact.load(changed(bundle, components={"unet": part})))
    assert "leads out of the bundle" in caught.value.why


@pytest.mark.parametrize("changes", [{"tokens": "many"}, {"unknown": 1}, {"components": []}])
def test_malformed_bundles_are_refused(changes: dict[str, object], bundle: Path) -> None:
    with pytest.raises(ArtifactError, match="is not a bundle"):
        OpenBundle(artifact.load(changed(bundle, **changes)))


def test_a_file_that_was_exchanged_is_found(bundle: Path) -> None:
    (bundle / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(ArtifactError, match=r"merges\.txt is damaged"):
        OpenBundle(artifact.load(bundle))


def test_a_bundle_for_the_cpu_has_no_second_graph(bundle: Path) -> None:
    with pytest.raises(ArtifactError, match="has no graph of unet for the CPU"):
        OpenBundle(artifact.load(bundle)).fallback("unet")


def test_a_bundle_of_another_version_is_not_read(bundle: Path) -> None:
    """It has no schema; what it lacks must not be taken for a default."""
    content = json.loads((bundle / "bundle.json").read_text())
    del content["schema"]
    (bundle / "bundle.json").write_text(json.dumps(content))
    made = artifact.Artifact(bundle, "key")
    with pytest.raises(ArtifactError, match="is not a bundle") as caught:
        OpenBundle(made)
    assert "another version" in caught.value.why
