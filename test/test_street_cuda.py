"""The device switch: the same functions on an NVIDIA GPU, where there is one."""

import numpy as np
import pytest
from numba import cuda

from fsmde_core.street.camera_view import RenderConfig, Stage, render_view
from fsmde_core.street.rigs import make_rig
from fsmde_core.street.scene import build_scene


def view(device):
    scene = build_scene(1)
    return render_view(
        Stage(scene).world(0.0),
        make_rig("nuscenes").resized(64, 36).cameras[0],
        T_world_ego=scene.ego_pose(0.0),
        shutter_m=np.zeros(3),
        seed=1,
        config=RenderConfig(samples=1, device=device),
    )


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match="device 'tpu' is unknown; known: cpu, cuda"):
        RenderConfig(device="tpu")


@pytest.mark.skipif(cuda.is_available(), reason="there is a GPU, so nothing is missing")
def test_without_a_gpu_one_sentence_says_what_is_missing():
    with pytest.raises(RuntimeError, match="device 'cuda' needs"):
        view("cuda")


@pytest.mark.skipif(not cuda.is_available(), reason="no NVIDIA GPU with its driver here")
def test_the_gpu_sees_what_the_cpu_sees():
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    one, other = view("cpu"), view("cuda")
    same = np.isclose(one.depth, other.depth, rtol=1e-3)
    assert same.mean() > 0.999
    assert np.abs(one.radiance - other.radiance)[same].mean() < 1e-2
