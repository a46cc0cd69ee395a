"""A bag's images as sets, without ROS."""

import numpy as np
import pytest
from blocks import blocks_rig, write_blocks
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fsmde_core.data.bag import BagImages
from fsmde_core.data.sample import DatasetError, read_image
from fsmde_ros.bags.writer import write_bag

TYPES = get_typestore(Stores.ROS2_JAZZY)
IMAGE = "sensor_msgs/msg/Image"


def test_sets_are_spread_over_the_bag_and_are_its_images(tmp_path):
    samples = write_blocks(tmp_path, frames=3)
    write_bag(samples, tmp_path / "drive")
    images = BagImages(tmp_path / "drive", samples[0].rig, limit=9)
    assert len(images) == 3  # no more than there are
    for found, sample in zip((images[0], images[2]), (samples[0], samples[2])):
        for image, file in zip(found, sample.image_files):
            assert np.array_equal(image, read_image(file))
    assert len(BagImages(tmp_path / "drive", samples[0].rig, limit=2)) == 2


def raw_bag(path, rig, pixels, encoding, *, step=None):
    """A bag of one raw image [H, W, C] a camera."""
    kinds = TYPES.types
    header = kinds["std_msgs/msg/Header"](kinds["builtin_interfaces/msg/Time"](1, 0), "c")
    height, width, channels = pixels.shape
    message = kinds[IMAGE](
        header, height, width, encoding, 0, step or width * channels, pixels.ravel()
    )
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for name in rig.names:
            topic = writer.add_connection(f"/{name}/image_raw", IMAGE, typestore=TYPES)
            writer.write(topic, 1_000_000_000, TYPES.serialize_cdr(message, IMAGE))
    return path


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("rgba8", [0, 1, 2, 0]), ("mono8", [0])],
)
def test_raw_images_become_rgb(tmp_path, encoding, order):
    rig = blocks_rig(width=8, height=4)
    rgb = np.random.default_rng(0).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    bag = raw_bag(tmp_path / "raw", rig, rgb[..., order], encoding)
    (found,) = BagImages(bag, rig, limit=5)
    expected = rgb if len(order) > 1 else rgb[..., [0, 0, 0]]
    assert all(np.array_equal(image, expected) for image in found)


@pytest.mark.parametrize(
    ("encoding", "step", "reason"),
    [
        ("bayer_rggb8", None, "encoding 'bayer_rggb8' is not one of rgb8, bgr8"),
        ("rgb8", 7, "/front/image_raw: an image that does not fit its size"),
        ("rgb8", None, "an image of 8x2, the rig says 8x4"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(tmp_path, encoding, step, reason):
    rig = blocks_rig(width=8, height=4)
    height = 2 if "8x2" in reason else 4
    bag = raw_bag(tmp_path / "raw", rig, np.zeros((height, 8, 3), np.uint8), encoding, step=step)
    with pytest.raises(DatasetError, match=reason):
        BagImages(bag, rig, limit=1)[0]


def test_what_is_no_bag_is_named(tmp_path):
    with pytest.raises(DatasetError, match=f"bag {tmp_path}/none: "):
        BagImages(tmp_path / "none", blocks_rig(width=8, height=4), limit=1)
