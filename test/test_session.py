import ctypes
import gc
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fsmde_core.card import ModelError, add_file
from fsmde_core.runtime.pinned import CudaError, CudaMemory, PinnedPool
from fsmde_core.runtime.predictor import Predictor
from fsmde_core.runtime.runs import CameraRun, DeviceRun
from fsmde_core.runtime.session import (
    CPU,
    CUDA,
    OPENVINO,
    TENSORRT,
    ProviderError,
    SessionConfig,
    engine_options,
    load_libraries,
    open_session,
    openvino_options,
    provider_chain,
    session_options,
    why_not,
)

EVERY = (CPU, CUDA, TENSORRT, OPENVINO)


class HostRuntime:
    """The CUDA runtime's calls on host memory, so that device code runs where there is no GPU."""

    def __init__(self):
        self.blocks = []

    def cudaHostAlloc(self, address, size, flags):
        self.blocks.append(ctypes.create_string_buffer(size.value))
        address._obj.value = ctypes.addressof(self.blocks[-1])
        return 0

    def cudaMemcpy(self, target, source, size, kind):
        ctypes.memmove(target, source, size.value)
        return 0

    def cudaMemGetInfo(self, free, total):
        return 2


def some_inputs(cameras, *, height=256, width=448):
    rng = np.random.default_rng(cameras)
    K = np.array([[500.0, 0, 320], [0, 500, 176], [0, 0, 1]], np.float32)
    pose = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], np.float32)
    return {
        "images": rng.integers(0, 256, (cameras, height, width, 3), dtype=np.uint8),
        "K": np.tile(K, (cameras, 1, 1)),
        "T_ego_cam": np.tile(pose, (cameras, 1, 1)),
    }


def test_bound_buffers_give_what_a_plain_run_gives(model_card):
    session = open_session(model_card.with_suffix(".onnx"), SessionConfig()).session
    runtime = HostRuntime()
    bound = DeviceRun(session, CudaMemory(runtime), device="cpu")
    kept = []
    wide = some_inputs(1, height=128, width=320)
    for groups in ([some_inputs(2)], [some_inputs(1), wide], [some_inputs(2)], [wide]):
        kept += zip(bound(groups), [session.run(None, inputs) for inputs in groups])
        del groups
    for ours, plain in kept:  # only now: a later run must not write over an earlier result
        for a, b in zip(ours, plain, strict=True):
            np.testing.assert_array_equal(a, b)


def test_cameras_side_by_side_give_what_one_run_of_all_gives(model_card):
    session = open_session(model_card.with_suffix(".onnx"), SessionConfig()).session
    run = CameraRun(session, at_once=2)
    for groups in ([some_inputs(3)], [some_inputs(2), some_inputs(1, height=128, width=320)]):
        for ours, inputs in zip(run(groups), groups, strict=True):
            for a, b in zip(ours, session.run(None, inputs), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4)
    with pytest.raises(Exception, match="[Ii]nvalid|Got|dimension"):
        run([{**some_inputs(2), "images": np.zeros((2, 32, 32), np.uint8)}])


@pytest.mark.parametrize(
    ("threads", "cameras", "at_once", "layer_threads"),
    [(1, 6, 1, 1), (2, 6, 2, 1), (4, 6, 3, 2), (6, 6, 6, 1), (16, 6, 6, 11), (8, 1, 1, 8)],
)
def test_threads_are_shared_by_cameras_and_layers(threads, cameras, at_once, layer_threads):
    config = SessionConfig(threads=threads, cameras=cameras)
    assert (config.cameras_at_once, config.layer_threads) == (at_once, layer_threads)


def test_pinned_arrays_come_back_once_their_last_view_is_gone():
    runtime = HostRuntime()
    pool = PinnedPool(CudaMemory(runtime))
    array = pool.empty((4, 3), np.float32)
    array[:] = 7
    view = array[1:, ::2]
    del array
    gc.collect()
    other = pool.empty((4, 3), np.float32)
    other[:] = 1
    assert len(runtime.blocks) == 2 and (view == 7).all()
    del view, other
    gc.collect()
    pool.empty((2, 6), np.float32), pool.empty((3, 4), np.float32)
    assert len(runtime.blocks) == 2


def test_a_failing_call_into_cuda_is_named():
    with pytest.raises(CudaError, match="cudaMemGetInfo failed with CUDA status 2"):
        CudaMemory(HostRuntime()).used()


def test_a_precision_is_a_file_that_the_card_must_list(model_card, tmp_path):
    card = tmp_path / model_card.name
    for suffix in (".json", ".onnx"):
        shutil.copy(model_card.with_suffix(suffix), tmp_path)
    document = json.loads(card.read_text())
    document["sha256"].pop(card.with_suffix(".int8.onnx").name, None)
    card.write_text(json.dumps(document))
    with pytest.raises(ModelError, match="lists no sha256 for student_s.int8.onnx"):
        Predictor(card, precision="int8")
    shutil.copy(card.with_suffix(".onnx"), card.with_suffix(".int8.onnx"))
    add_file(card, card.with_suffix(".int8.onnx"))
    assert Predictor(card, precision="int8").config.precision == "int8"
    with pytest.raises(ValueError, match="precision 'fp8' is not one of fp32"):
        Predictor(card, precision="fp8")


@pytest.mark.parametrize(
    ("config", "willing"),
    [
        (SessionConfig(), EVERY),
        (SessionConfig(precision="fp16"), EVERY),
        (SessionConfig(precision="int8"), (CPU, OPENVINO)),
        (SessionConfig(precision="bf16"), (OPENVINO,)),
        (SessionConfig(cuda_graph=True), (CUDA,)),
    ],
)
def test_what_a_provider_cannot_do_is_refused_with_a_reason(config, willing):
    assert tuple(p for p in EVERY if not why_not(p, config, EVERY)) == willing


def test_a_cuda_graph_is_not_quietly_left_out(model_card):
    with pytest.raises(ProviderError, match="cuda_graph is CUDAExecutionProvider's"):
        Predictor(model_card, cuda_graph=True)


def test_options_reach_the_runtime(tmp_path, monkeypatch):
    options = session_options(SessionConfig(threads=3, cameras=1, spinning=True))
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    assert '"bf16"' in openvino_options(SessionConfig(precision="bf16"))["load_config"]
    assert '"f32"' in openvino_options(SessionConfig())["load_config"]
    graph = SessionConfig(cuda_graph=True)
    assert provider_chain(CUDA, graph, {})[0][1]["enable_cuda_graph"] == "1"
    (first, options), (second, _) = provider_chain(TENSORRT, SessionConfig(precision="fp16"), {})
    assert (first, second) == (TENSORRT, CUDA) and options["trt_fp16_enable"] == "True"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert SessionConfig().engine_folder == tmp_path / "fsmde_ros" / "tensorrt"
    assert SessionConfig(engine_cache="/data/engines").engine_folder == Path("/data/engines")


def test_an_engine_serves_partial_sets_too(model_card):
    session = onnxruntime.InferenceSession(str(model_card.with_suffix(".onnx")), providers=[CPU])
    options = engine_options(session, (6, 256, 448), Path("/cache"))
    assert options["trt_profile_min_shapes"] == "images:1x256x448x3,K:1x3x3,T_ego_cam:1x4x4"
    assert options["trt_profile_max_shapes"] == "images:6x256x448x3,K:6x3x3,T_ego_cam:6x4x4"
    assert options["trt_engine_cache_path"] == "/cache"


def test_auto_takes_integers_on_a_cpu_where_the_card_lists_them(model_card, tmp_path):
    predictor = Predictor(model_card, precision="auto", providers=[OPENVINO, CPU])
    assert (predictor.config.precision, predictor.provider) == ("int8", CPU)
    assert list(predictor.refused) == [OPENVINO]
    card = tmp_path / model_card.name
    for suffix in (".json", ".onnx"):
        shutil.copy(model_card.with_suffix(suffix), tmp_path)
    document = json.loads(card.read_text())
    document["sha256"].pop(card.with_suffix(".int8.onnx").name)
    card.write_text(json.dumps(document))
    assert Predictor(card, precision="auto").config.precision == "fp32"


@pytest.mark.parametrize(
    ("cuda", "installed", "loads"),
    [
        ("12.8", ["cudnn", "cuda_runtime"], True),
        ("13.0", ["cudnn", "cu13"], True),
        ("13.0", ["cudnn", "cuda_runtime"], False),  # torch's, of another CUDA
        ("12.8", ["cudnn", "cu13"], False),
        ("", ["cudnn", "cuda_runtime"], True),
    ],
)
def test_the_wheels_of_its_own_cuda_are_loaded(tmp_path, monkeypatch, cuda, installed, loads):
    for name in installed:
        (tmp_path / "nvidia" / name / "lib").mkdir(parents=True)
    for name in [n for n in sys.modules if n.partition(".")[0] == "nvidia"]:
        monkeypatch.delitem(sys.modules, name)
    others = [path for path in sys.path if not (Path(path) / "nvidia").is_dir()]  # torch's own
    monkeypatch.setattr(sys, "path", [str(tmp_path), *others])
    monkeypatch.setattr(onnxruntime, "cuda_version", cuda)
    loaded = []
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: loaded.append(True), raising=False)
    load_libraries(CUDA)
    assert bool(loaded) == loads
