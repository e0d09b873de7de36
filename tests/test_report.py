"""The page of ``qnn-sd report``: what it shows, that a prompt in it is no markup, and how a browser shows it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from cli_here import CliHere
from conftest import Cli, json_document
from report_page import NASTY, PageParser, document, page

from qnn_sd.cli.redacted import redacted
from qnn_sd.errors import OutputError, VerificationError
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.report.axes import Limit, Scale, round_ticks
from qnn_sd.report.bars import Bar, Group, bar_plot
from qnn_sd.report.curves import histogram
from qnn_sd.report.images import amplification, difference_map
from qnn_sd.targets.adb.diagnostics import Privacy
from qnn_sd.verification import VerificationInput, groups_by_call, label_calls, sqnr_summary

REFUSED = VerificationError(f"unet is refused: {NASTY}", why="A reason.", hint="What to type.")
BOTH = pytest.mark.parametrize("refused", [None, REFUSED], ids=["passed", "refused"])


# The page


@BOTH
def test_the_page_is_well_formed_and_fetches_nothing(refused: VerificationError | None) -> None:
    text = page(document(refused))
    parsed = PageParser(text)
    addresses = [
        value
        for _, attributes in parsed.found
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "poster", "data") and value is not None
    ]
    assert all(address.startswith("data:") for address in addresses)
    assert "url(" not in text
    assert "@import" not in text
    assert "http:" not in text
    assert "https:" not in text
    [policy] = [each["content"] for each in parsed.named("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "img-src data:" in policy
    assert [each["type"] for each in parsed.named("script")] == ["application/json"], "nothing else may run"
    assert not [name for _, attributes in parsed.found for name in attributes if name.startswith("on")]


@BOTH
def test_everything_has_words_for_those_who_do_not_see_it(refused: VerificationError | None) -> None:
    parsed = PageParser(page(document(refused)))
    assert all(each["alt"] for each in parsed.named("img"))
    assert all(each["aria-label"] for each in parsed.named("svg"))
    assert all(each.get("scope") in ("col", "row") for each in parsed.named("th"))
    ids = [attributes["id"] for _, attributes in parsed.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {each["aria-labelledby"] for each in parsed.named("section")} <= set(ids)
    assert [each["lang"] for each in parsed.named("html")] == ["en"]
    assert len(parsed.named("h1")) == 1


@BOTH
def test_a_prompt_is_text_and_nothing_else(refused: VerificationError | None) -> None:
    told = document(refused)
    text = page(told)
    parsed = PageParser(text)
    [block] = parsed.data["script"]
    # Halves of surrogate pairs come back as they are: JSON can spell them.
    assert json.loads(block) == told.content
    shown = text.replace(block, "")
    for mark in ("<script>alert", "<img src=x", "\u202e", "\x07"):
        assert mark not in shown
    text.encode("utf-8")
    assert "\U0001f469\u200d\U0001f3a8" in shown, "letters that are joined stay so"


def test_a_passed_build_shows_its_parts() -> None:
    text = page(document())
    for needed in (
        *("Passed with warnings", "57.0 dB", "at least 50 dB", "unet by sampling step", "unet by setting"),
        *("Made up by a stand-in, no device was used", "1,200 NPU"),
        *("gain of AdaRound by layer", "Median 4.8 dB", "memory traffic by block", "scaled to sm8650", "6.8 MB"),
        *(
            "PSNR",
            "64 times the difference",
            "onnxruntime-qnn",
            "from the cache",
            "qnn-sd report",
            "refused below 30 dB",
        ),
    ):
        assert needed in text, needed
    assert text.count("<img") == 5, "three forms, two of them with a difference map"


def test_a_refusal_says_why_and_what_to_do_and_shows_no_image() -> None:
    text = page(document(REFUSED))
    for needed in ("Refused", "unet is refused", "A reason.", "What to type.", "not reached", "Left out: the build"):
        assert needed in text, needed
    assert "<img" not in text


def test_words_of_the_format_stay_whatever_a_checkpoint_is_called() -> None:
    privacy = Privacy()
    for name in ("adaround", "passed", "block", "qnn-sd", "nearest"):
        privacy.hide(name, "SOURCE")
    told = redacted(document(), privacy)
    assert told["schema"] == "qnn-sd/report/1"
    assert told["verification"]["verdict"] == "passed with warnings"
    assert told["verification"]["model"]["rounding"] == "adaround"
    assert {layer["kept"] for layer in told["rounding"]["unet"]["layers"]} == {"adaround", "nearest"}
    assert told["cost"]["by"] == "block"
    assert told["commands"][0]["line"].startswith("SOURCE report")


# Its plots and images


@pytest.mark.parametrize(("low", "high"), [(0, 57.6), (0, 0), (-0.6, 15.9), (0, 0.0447), (0, 1), (0, 3400), (12, 12)])
def test_ticks_are_round_and_reach_over_both_ends(low: float, high: float) -> None:
    ticks = round_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8
    steps = {round(b - a, 9) for a, b in pairwise(ticks)}
    assert len(steps) == 1
    assert re.fullmatch(r"[125]0*", f"{steps.pop():.6f}".replace(".", "").lstrip("0"))


def test_what_lies_outside_a_scale_stays_at_its_edge() -> None:
    scale = Scale(0.0, 50.0, 4.0, 104.0)
    assert [scale.at(value) for value in (-1.7, 0.0, 25.0, 50.0, 200.0)] == [4.0, 4.0, 54.0, 104.0, 104.0]


def test_a_bar_ends_where_its_value_is_and_a_limit_stands_at_its_own() -> None:
    drawn = bar_plot("t", [Group("a", [Bar(30.0, "worst", "30")])], "dB", [Limit(50.0, "refused")])
    [width] = re.findall(r'<rect x="4.0" y="[\d.]+" width="([\d.]+)"', drawn)
    [limit] = re.findall(r'<line x1="([\d.]+)".*class="limit refused"', drawn)
    assert float(width) / (float(limit) - 4.0) == pytest.approx(30 / 50, abs=0.01)


def test_a_histogram_counts_every_value_once(rng: np.random.Generator) -> None:
    for values in ([3.0], [2.0, 2.0], [*rng.normal(5, 4, 300)]):
        counts = re.findall(r"<title>\S+ to \S+: (\d+)</title>", histogram("t", values, "dB", "layers", "worst"))
        assert sum(map(int, counts)) == len(values)


def test_a_difference_map_is_amplified_as_far_as_it_can_be_shown() -> None:
    small = np.zeros((16, 16, 3), np.int16)
    small[0, 0] = (3, -1, 0)
    assert amplification([small]) == 64
    assert amplification([small, np.full((16, 16, 3), -40, np.int16)]) == 4
    assert amplification([np.full((2, 2, 3), 255, np.int16)]) == 1
    assert difference_map(small, 64)[0, 0].tolist() == [192, 64, 0]
    assert difference_map(small * 50, 64)[0, 0].tolist() == [255, 255, 0]


# Its figures


def test_the_passes_of_a_step_are_one_call(rng: np.random.Generator) -> None:
    pairs = [None, 4, 4, 5, 5]
    inputs = [VerificationInput(f"input {n}", {}, pair=pair, step=pair) for n, pair in enumerate(pairs)]
    groups = groups_by_call(inputs)
    assert groups == [[0], [1, 2], [3, 4]]
    exact = [{"y": rng.normal(size=9)} for _ in inputs]
    found = [{"y": each["y"] + 0.01 * rng.normal(size=9)} for each in exact]
    figures = [sqnr_summary(*([each[n] for n in group] for each in (inputs, exact, found))) for group in groups]
    calls = label_calls(inputs, groups, figures)
    assert [call.label for call in calls] == ["input 0", "input 2", "input 4"]
    assert [call.step for call in calls] == [None, 4, 5]
    assert [call.sqnr.difference_db is None for call in calls] == [True, False, False]


def test_a_report_of_the_demo_holds_its_figures_and_nobodys_name(hasty_cli: Cli, pipeline: BuildPipeline) -> None:
    told = hasty_cli.json("report", "--prompt", "a red circle </script><b>", "-o", "page.html")
    assert told["file"] == "page.html"
    text = (hasty_cli.folder / "page.html").read_text("utf-8")
    [block] = PageParser(text).data["script"]
    report = json_document(block)
    assert report == {**told, "file": None, "commands": report["commands"]}
    assert report["verification"]["verdict"] == "passed"
    [prompt] = report["prompts"]
    assert prompt["request"]["prompt"] == "a red circle </script><b>"
    assert len(prompt["images"]["forms"]) == 3
    # A call's figures are those of the summary, where the call is the worst.
    for name, each in report["verification"]["components"].items():
        for comparison in ("qdq_against_float", "binary_against_qdq"):
            worst = each[comparison]["worst_db"]
            calls = report["calls"][name][comparison]
            assert worst in [call["sqnr"]["worst_db"] for call in calls]
        assert report["graphs"][name]["binary_bytes"] > 100_000
        assert report["rounding"][name]["layers"]
    assert {call["step"] for call in report["calls"]["unet"]["binary_against_qdq"]} == {1, 10, 20}
    for private in (str(Path.home()), str(hasty_cli.folder), hasty_cli.environment["QNN_SD_CACHE"], "/root"):
        assert private not in text


def test_a_refused_build_gets_its_page_and_shows_what_it_would_generate(
    hasty_cli: Cli, pipeline: BuildPipeline, tmp_path: Path
) -> None:
    encodings = json.loads((pipeline.quantize("text_encoder").folder / "encodings.json").read_text())
    for each in encodings["activation_encodings"]:
        each["scale"] = [scale / 4 for scale in each["scale"]]
    folder = tmp_path / "secret-name"
    folder.mkdir()
    (folder / "text_encoder.json").write_text(json.dumps(encodings))
    done = hasty_cli("report", "--encodings", str(folder), "--json")
    assert done.returncode == VerificationError.exit_code
    told = json_document(done.stdout)
    assert told["file"] == "report.html"
    assert told["verification"]["error"]["code"] == VerificationError.exit_code
    # The refused component's own figures are there, call by call as well.
    assert told["verification"]["components"]["text_encoder"]["qdq_against_float"]["worst_db"] < 30
    assert len(told["calls"]["text_encoder"]["qdq_against_float"]) == 4
    text = (hasty_cli.folder / "report.html").read_text("utf-8")
    assert "text_encoder is refused" in text
    assert "qnn-sd report --encodings ENCODINGS" in text
    assert "secret-name" not in text
    # Its image is far from the float model's.
    forms = told["prompts"][0]["images"]["forms"]
    assert [each["psnr_db_against_float"] is None or each["psnr_db_against_float"] < 30 for each in forms.values()] == [
        True
    ] * 3
    assert "it can be seen what it does" in text


def test_a_report_is_html(cli_here: CliHere) -> None:
    assert "The report is HTML" in cli_here.refused(OutputError.exit_code, "report", "-o", "report.md")


# In a browser

_FRAMES = """<!DOCTYPE html><link rel="icon" href="data:,"><title>loading</title><body style="margin:0">
<iframe src="page.html" style="width:360px;height:800px;border:0"></iframe>
<iframe src="page.html" style="width:1200px;height:800px;border:0"></iframe>
<iframe src="faulty.html" style="width:360px;height:800px;border:0"></iframe>
<script>
onload = () => {
  document.title = JSON.stringify([...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const outside = [...page.body.querySelectorAll("*")].filter(each => !each.closest(".scroll *")
      && each.getBoundingClientRect().right > root.clientWidth + 1).map(each => each.outerHTML.slice(0, 80));
    return {
      width: root.clientWidth, scroll: root.scrollWidth, outside,
      fetched: frame.contentWindow.performance.getEntriesByType("resource").map(each => each.name),
      beside: [...page.querySelectorAll(".images figure")].map(each => each.getBoundingClientRect().top),
      images: [...page.images].filter(each => each.naturalWidth === 0).length,
      smallest: Math.min(...[...page.querySelectorAll("svg text")].map(each => each.getBoundingClientRect().height)),
    };
  }));
};
</script>
"""
_FAULTY = '<!DOCTYPE html><title>x</title><body><svg width=400 height=20><text font-size="4">x</text></svg>'
_FAULTY += '<div style="width: 500px">wide</div><img src="missing.png"><script>console.error("a fault")</script>'


def browser() -> str:
    """A Chromium, or a skip with its reason."""
    named = os.environ.get("QNN_SD_TEST_BROWSER")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no browser: {', '.join(names)} is not on PATH (docs/contributing.md says how to install one)")
    return found


@BOTH
def test_a_browser_shows_the_page_at_the_width_of_a_phone(refused: VerificationError | None, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(document(refused)), "utf-8")
    (tmp_path / "faulty.html").write_text(_FAULTY, "utf-8")
    (tmp_path / "frames.html").write_text(_FRAMES, "utf-8")
    said, asked = _shown(tmp_path, "frames.html")
    phone, desktop, faulty = json.loads(re.findall(r"<title>(.*?)</title>", said.stdout)[0].replace("&amp;", "&"))
    for shown in (phone, desktop):
        assert shown["scroll"] == shown["width"], "nothing is wider than the page"
        assert (shown["outside"], shown["fetched"], shown["images"]) == ([], [], 0)
        assert shown["smallest"] >= 10, "text in plots can be read"
        assert len(set(shown["beside"])) == (0 if refused else 1), "images stand side by side"
    assert (phone["width"], desktop["width"]) == (360, 1200)
    # What is looked for would be found.
    assert (faulty["images"], faulty["scroll"] > faulty["width"], faulty["smallest"] < 10) == (1, True, True)
    assert [name.rpartition("/")[2] for name in faulty["fetched"]] == ["missing.png"]
    assert set(asked) == {"/faulty.html", "/frames.html", "/missing.png", "/page.html"}
    complaints = [line for line in said.stderr.splitlines() if "CONSOLE" in line]
    assert [line for line in complaints if "faulty.html" not in line] == []
    assert any("a fault" in line for line in complaints)


class _Served(SimpleHTTPRequestHandler):
    """A folder's files; the server keeps what was asked for."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()

    def log_message(self, *_told: object) -> None:
        """Nobody reads it."""


def _shown(folder: Path, name: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What a browser made of a page in a folder, what its console said, and what it asked the server for."""
    program = browser()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Served, directory=str(folder))) as server:
        server.asked = []  # type: ignore[attr-defined]
        serving = Thread(target=server.serve_forever)
        serving.start()
        options = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"]
        options += ["disable-background-networking", "disable-component-update", "hide-scrollbars"]
        options += ["dump-dom", "enable-logging=stderr", "v=0", f"user-data-dir={folder / 'profile'}"]
        line = [program, *(f"--{each}" for each in options), f"http://127.0.0.1:{server.server_port}/{name}"]
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
        finally:
            server.shutdown()
            serving.join()
        return done, server.asked  # type: ignore[attr-defined]
