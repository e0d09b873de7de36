"""How fast this machine is: matrices of floats multiplied for half a second, on the cores that this process may use.

Other programs that are at work now count half, as ratios go: some of them will be at work later too.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from dataclasses import dataclass

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from qnn_sd.resources import usable_cores

_SIDE = 512
_SECONDS = 0.2
# What one core of the reference reaches, an AMD EPYC with AVX-512, in billions of operations a second.
REFERENCE_GFLOPS = 200.0


@dataclass(frozen=True)
class Machine:
    """How fast a machine is, as multiples of one core of the reference.

    Attributes:
        cores: that may be used.
        one_core: speed of a thread.
        all_cores: of all cores together.
    """

    cores: int
    one_core: float
    all_cores: float


@functools.cache
def measure_machine() -> Machine:
    """Measures this one, once a process; takes half a second."""
    cores = len(usable_cores())
    one = _gflops(1)
    return Machine(cores, one / REFERENCE_GFLOPS, (one if cores == 1 else max(_gflops(cores), one)) / REFERENCE_GFLOPS)


def _session() -> onnxruntime.InferenceSession:
    shape = [_SIDE, _SIDE]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "aby"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["y"])], "matmul", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # One thread each, that sleeps when it has nothing to do: threads that wait in a loop would be measured too.
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _gflops(threads: int) -> float:
    """What threads of this process reach together: billions of multiplications and additions a second."""
    matrix = np.random.default_rng(0).standard_normal((_SIDE, _SIDE), np.float32)
    feeds = {"a": matrix, "b": matrix}
    sessions = [_session() for _ in range(threads)]
    for session in sessions:
        session.run(None, feeds)
    by_core = [0.0] * threads
    runs = [0] * threads
    ends = time.perf_counter() + _SECONDS

    def work(number: int) -> None:
        started = time.thread_time()
        while time.perf_counter() < ends:
            sessions[number].run(None, feeds)
            runs[number] += 1
        by_core[number] = runs[number] / (time.thread_time() - started)

    started = time.perf_counter()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    alone, now = sum(by_core), sum(runs) / (time.perf_counter() - started)
    return math.sqrt(alone * min(now, alone)) * 2 * _SIDE**3 / 1e9
