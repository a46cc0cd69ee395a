"""What every test shares: a DDS domain of its own, the shipped model, the real data if at hand."""

import importlib.util
import os
import re
import sys
from pathlib import Path

from fsmde_ros.share import FASTDDS_VARIABLES

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"

# Before anything opens DDS: no traffic from or to other graphs, and room for six images at once.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
for variable in FASTDDS_VARIABLES:
    os.environ[variable] = str(ROOT / "config" / "fastdds.xml")
# Threads of torch that wait for each other sleep: spinning is slow where processes share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest  # noqa: E402
from blocks import blocks_rig, render_blocks  # noqa: E402
from hypothesis import settings  # noqa: E402

# The same examples on every run; new ones: pytest --hypothesis-profile=search
settings.register_profile("repeat", derandomize=True)
settings.register_profile("search", print_blob=True)
settings.load_profile("repeat")


OF_TRAINING = "torch|torchvision|timm|safetensors|pydantic|onnxscript|lightning_fabric|tensorboard"
LACKING = re.compile(
    rf"No module named '({OF_TRAINING})\b|({OF_TRAINING}) is not installed; the extra train"
)


def pytest_addoption(parser):
    text = "leave out tests that need torch and its like, which are not installed (make test-node)"
    parser.addoption("--without-train", action="store_true", help=text)


def without_train(report, config):
    """With --without-train, a file or test that fails for want of the extra [train] is skipped."""
    missing = LACKING.search(str(report.longrepr)) if report.failed else None
    if missing and config.getoption("--without-train"):
        report.outcome = "skipped"
        report.longrepr = (
            str(report.nodeid),
            0,
            f"Skipped: {missing[1] or missing[2]} is not installed",
        )
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    return without_train(report, collector.config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    return without_train(report, item.config)


@pytest.fixture(scope="session")
def model_card() -> Path:
    return ROOT / "models" / "student_s.json"


@pytest.fixture(scope="session")
def rig():
    """Six cameras of 320x180 pixels."""
    return blocks_rig(width=320, height=180)


@pytest.fixture(scope="session")
def views(rig):
    """Image and exact depth of every camera of the rig."""
    return [render_blocks(camera) for camera in rig.cameras]


@pytest.fixture(scope="session")
def nuscenes_root() -> Path:
    """A real nuScenes root with one keyframe."""
    root = SHARED / "nuscenes_frame"
    if not root.is_dir():
        pytest.skip("../shared/data/nuscenes_frame is not here")
    return root


@pytest.fixture(scope="session")
def ddad_scene() -> Path:
    """The JSON of a real DDAD scene with three cameras."""
    scenes = sorted((SHARED / "ddad_scene" / "scene_01").glob("scene_*.json"))
    if not scenes:
        pytest.skip("../shared/data/ddad_scene is not here")
    return scenes[0]


@pytest.fixture(scope="module")
def ros():
    """rclpy, for the length of a file."""
    import rclpy

    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def tf_tree(ros, monkeypatch):
    """A Tree that knows nothing yet."""
    import rclpy
    from tf_tree import Tree, stand_in

    if importlib.util.find_spec("tf2_ros") is None:
        monkeypatch.setitem(sys.modules, "tf2_ros", stand_in())
    node = rclpy.create_node("tf_tree")
    yield Tree(node)
    node.destroy_node()


@pytest.fixture(scope="session")
def images(views):
    """Image of every camera of the rig."""
    return [image for image, _ in views]


@pytest.fixture(scope="session")
def sample(rig, views):
    """One set of the rig's images with the exact depth of its blocks."""
    import numpy as np

    from fsmde_core.data.batch import RigBatch

    depth_gt = np.stack([depth for _, depth in views]).astype(np.float32)
    return RigBatch(
        images=np.stack([image for image, _ in views]),
        K=rig.K,
        T_ego_cam=rig.T_ego_cam,
        depth_gt=depth_gt,
        valid=depth_gt > 0,
        mask=np.zeros(depth_gt.shape, bool),
        stamps_ns=(0,) * len(views),
        names=rig.names,
        tokens="blocks",
    )


@pytest.fixture(scope="session")
def stub_model(tmp_path_factory) -> Path:
    """The card of a model that answers 10 m everywhere."""
    from stub_model import write_stub_model

    return write_stub_model(tmp_path_factory.mktemp("stub") / "stub.json")


@pytest.fixture(scope="session")
def free_model(tmp_path_factory) -> Path:
    """The card of a model of every shape: 10 m everywhere, and no surface where it is blue."""
    from stub_model import write_free_model

    return write_free_model(tmp_path_factory.mktemp("free") / "free.json")


@pytest.fixture(scope="session")
def untrained(tmp_path_factory) -> Path:
    """The card of a small student that was never trained, with its ONNX file; to be copied."""
    import torch
    from filelock import FileLock

    from fsmde_core.card import add_file
    from fsmde_core.network.checkpoint import save_student
    from fsmde_core.network.student import StudentConfig, StudentDepthNet
    from fsmde_core.runtime.export import export_onnx

    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent
    path = folder / "untrained" / "tiny.json"
    with FileLock(folder / "untrained.lock"):  # slow: once, in whichever process is first
        if path.exists():
            return path
        path.parent.mkdir()
        torch.manual_seed(0)
        small = {"encoder": "test_efficientnet", "decoder_channels": 16, "n_bins": 8}
        config = StudentConfig(input_width=128, input_height=64, **small)
        student = StudentDepthNet(config).eval()
        save_student(student, path, config=config, description="", licence="", provisional=True)
        export_onnx(student, config, path.with_suffix(".onnx"))
        add_file(path, path.with_suffix(".onnx"))
        return path


@pytest.fixture(scope="session")
def street(tmp_path_factory) -> Path:
    """A folder with tiny samples to learn from in train/ and val/, see tiny.write_streets."""
    from tiny import write_streets

    return write_streets(tmp_path_factory.mktemp("street"))


@pytest.fixture
def config_file(street, tmp_path):
    """The config of a tiny training run on them as a file; call it with changes."""
    from tiny import write_config

    return lambda **changes: write_config(tmp_path / "tiny.yaml", street, **changes)


@pytest.fixture
def quick_export(monkeypatch):
    """Training that ends with an empty ONNX file: a whole one takes a minute."""
    from fsmde_core.distill import train

    monkeypatch.setattr(train, "export_onnx", lambda student, config, path: path.write_bytes(b""))


@pytest.fixture(scope="session")
def driven(tmp_path_factory):
    """Samples of a short drive through a rendered street, see drives.render_samples."""
    pytest.importorskip("numba")
    from drives import render_samples

    return render_samples(tmp_path_factory.mktemp("street_drive"))


@pytest.fixture(scope="session")
def driven_bag(driven, tmp_path_factory) -> Path:
    """The same as a bag with a rig file in it."""
    from fsmde_ros.bags.writer import write_bag

    path = tmp_path_factory.mktemp("driven") / "drive"
    write_bag(driven, path)
    return path
