"""``qnn-sd fetch``: the context binaries of Stable Diffusion 1.5 that Qualcomm has published, as a bundle."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from qnn_sd import resources
from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.docs import FETCH
from qnn_sd.cli.documents import FetchDocument
from qnn_sd.cli.documents.fetch import FetchedComponent
from qnn_sd.cli.help import BUILD, MODEL, HelpCommand, option
from qnn_sd.cli.options import cache_option, open_profile, output_options, soc_option
from qnn_sd.cli.stage_output import WHOLE, Copies, copies_options
from qnn_sd.console import Console
from qnn_sd.errors import BinaryError, IntegrityError
from qnn_sd.export.checkpoint.clip_tokenizer import TOKENS, ClipTokenizerSearch
from qnn_sd.published.adopt import LICENCE, LICENCE_URL, STAGE, Adopted, adopt, recipe_of
from qnn_sd.published.asset_file import AssetFile, ensure_asset
from qnn_sd.published.checks import refuse_too_new
from qnn_sd.published.release import DEFAULT_RELEASE, asset_for, published_assets, release_number
from qnn_sd.published.store import PUBLIC_STORE, open_store
from qnn_sd.runtime_libraries import download_lock, without_credentials
from qnn_sd.schemas import ImageSize
from qnn_sd.tokenizer_files import Vocabulary, read_vocabulary


@click.command(
    "fetch",
    cls=HelpCommand,
    examples=(
        ("Fetch them for a Snapdragon 8 Gen 3 into a folder for run --bundle", "qnn-sd fetch --soc sm8650 -o qualcomm"),
        (
            "Fetch an earlier release's from a mirror",
            "qnn-sd fetch --release 0.64.0 --repository https://mirror.example",
        ),
    ),
    docs_page=FETCH,
)
@soc_option("that they are compiled for")
@copies_options("the bundle, as qnn-sd run --bundle takes it")
@option(
    "--release",
    group=BUILD,
    metavar="VERSION",
    default=DEFAULT_RELEASE,
    help="Release of AI Hub Models that published them.",
)
@option(
    "--repository",
    group=BUILD,
    metavar="URL",
    default_text=f"{PUBLIC_STORE.removeprefix('https://')}",
    help="Mirror of AI Hub Models' store, with the same paths below it.",
)
@option(
    "--tokenizer",
    group=MODEL,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default_text="CLIP's, looked for on this machine first",
    help="Folder with vocab.json and merges.txt: the published files bring none.",
)
@cache_option
@output_options
def fetch_command(
    soc: str,
    copies: Copies,
    release: str,
    repository: str | None,
    tokenizer: Path | None,
    cache: Path | None,
    console: Console,
) -> None:
    """Download the binaries of Stable Diffusion that Qualcomm has published, and make a bundle of them.

    They are of Stable Diffusion 1.5 in W8A16, of AI Hub Models. They are checked, and become a bundle for qnn-sd run
    --bundle, inspect and verify. The weights are under a licence of their own, CreativeML OpenRAIL-M. A download that
    was interrupted goes on where it stopped.
    """
    release = release_number(release)
    store = open_store(repository)
    profile = open_profile(soc, console)
    place = cache or resources.cache()
    copies.check([WHOLE], cache)
    with console.working(f"reading the manifest of AI Hub Models {release}"):
        asset = asset_for(published_assets(store, release), profile, release)
    refuse_too_new(asset)
    vocabulary = _vocabulary(tokenizer, asset.file_name, place, console)
    console.say(f"the weights are under {LICENCE} ({LICENCE_URL}); Qualcomm's terms for AI Hub Models hold, too")
    with download_lock(place, console):
        file = ensure_asset(asset, store, place, console)
        copies.refuse_another(STAGE, {WHOLE: recipe_of(file, profile, vocabulary).name})
        try:
            with console.working(f"checking and adopting {asset.file_name}"):
                adopted = adopt(file, profile, vocabulary, place)
        except (BinaryError, IntegrityError):
            file.discard_if_new()
            raise
        file.record_new_hash()
    for remark in adopted.remarks:
        console.warn(remark)
    folder = copies.put({WHOLE: adopted.artifact}, console)[WHOLE]
    _show(file, adopted, folder, console)


def _vocabulary(given: Path | None, name: str, cache: Path, console: Console) -> Vocabulary:
    if given is not None:
        vocabulary = read_vocabulary(given)
        if len(vocabulary.tokens) != TOKENS:
            console.warn(
                f"{given} has {len(vocabulary.tokens):,} tokens, CLIP's tokenizer has {TOKENS:,}: with another one "
                "than the networks were trained with, a prompt means something else"
            )
        return vocabulary
    return ClipTokenizerSearch(cache, console.say, download=True).find(Path(name))


def _show(file: AssetFile, adopted: Adopted, folder: Path, console: Console) -> None:
    bundle = OpenBundle(adopted.artifact)
    info, qairt = bundle.info, adopted.artifact.metadata["qairt"]
    assert info.published is not None
    assert info.soc is not None
    components = {}
    for name, part in info.components.items():
        assert part.wrapped is not None
        [binary] = (folder / part.file).parent.glob("*.bin")
        components[name] = FetchedComponent(file=str(binary), bytes=binary.stat().st_size, wrapped=part.wrapped)
    if not file.was_known:
        console.warn(f"nobody has published a hash of {file.path.name}: its own is recorded and held from now on")
    console.table(
        ["component", "binary", "MB", "inputs", "outputs"],
        [
            [
                name,
                Path(each.file).name,
                each.bytes / 1e6,
                ", ".join(tensor.binary for tensor in each.wrapped.inputs),
                ", ".join(tensor.binary for tensor in each.wrapped.outputs),
            ]
            for name, each in components.items()
        ],
    )
    console.result(
        f"{info.published.by} {info.published.release}, compiled by QAIRT {qairt or 'of an unknown version'} "
        f"for {info.published.chipset}: {folder}"
    )
    console.say(f"next: qnn-sd run PROMPT --bundle {shlex.quote(str(folder))}")
    console.document(
        FetchDocument(
            model=info.model,
            soc=info.soc.name,
            size=ImageSize(width=info.width, height=info.height),
            folder=str(folder),
            cached=adopted.artifact.cached,
            published=info.published,
            url=without_credentials(file.asset.url),
            downloaded=file.downloaded,
            held_to="its first fetch" if file.was_known else "nothing yet",
            qairt=qairt,
            components=components,
            remarks=list(adopted.remarks),
        )
    )
