"""The EPContext wrapper loads in every ONNX Runtime of the tried toolchains, whichever wrote it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from other_runtime import OtherRuntime

from qnn_sd import qnn_provider
from qnn_sd.compile.epcontext_model import IR_VERSION, simplify_wrapper
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.config import load_profile
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.toolchain import load_toolchains, version

_RUNTIMES = [
    number
    for each in load_toolchains().sets
    for number in (each.onnxruntime, *([each.phone.onnxruntime] if each.phone else []))
]
OLDEST = min([*_RUNTIMES, load_toolchains().desktop_jvm], key=version)
# What ONNX Runtime 1.32 writes.
TOO_NEW = 14

RUN = """
import sys
from pathlib import Path
import numpy as np
from qnn_sd import qnn_provider
try:
    session = qnn_provider.session(Path(sys.argv[1]), qnn_provider.htp_options(57, 75))
except Exception as error:
    print(error)
else:
    np.save(sys.argv[2], session.run(None, {"input_ids": np.ones((1, 77), np.int32)})[0])
"""


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> OtherRuntime:
    return OtherRuntime(OLDEST, tmp_path_factory.mktemp("onnxruntime"))


def test_the_oldest_runtime_runs_what_a_newer_one_wrote(
    pipeline: BuildPipeline, oldest: OtherRuntime, tmp_path: Path
) -> None:
    made = pipeline.compile("text_encoder", load_profile("sm8650"))
    for path in made.folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    wrapper, result = tmp_path / CONTEXT_FILE, tmp_path / "result.npy"
    model = onnx.load(str(wrapper), load_external_data=False)
    model.ir_version = TOO_NEW
    model.opset_import.append(onnx.helper.make_opsetid("org.pytorch.aten", 1))
    wrapper.unlink()
    onnx.save(model, str(wrapper))
    assert "IR version" in oldest.run(RUN, wrapper, result)
    simplify_wrapper(wrapper)
    assert "IR version" not in oldest.run(RUN, wrapper, result)
    session = qnn_provider.session(made.file(CONTEXT_FILE), qnn_provider.htp_options(57, 75))
    expected = session.run(None, {"input_ids": np.ones((1, 77), np.int32)})[0]
    np.testing.assert_array_equal(np.load(result), expected)


@pytest.mark.parametrize("component", ["text_encoder", "unet"])
def test_the_wrapper_needs_no_more_than_its_graph(component: str, pipeline: BuildPipeline) -> None:
    made = pipeline.compile(component, load_profile("sm8650"))
    model = onnx.load(made.file(CONTEXT_FILE), load_external_data=False)
    assert model.ir_version == IR_VERSION
    assert sorted(entry.domain for entry in model.opset_import) == ["", "com.microsoft"]
