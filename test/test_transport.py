"""compressed: auto: the node listens to whichever transport is offered."""

import pytest
from graph import Graph
from sensor_msgs.msg import CompressedImage, Image

from fsmde_core.rig import Rig
from fsmde_ros.params import NodeParams, ParameterError
from fsmde_ros.transport import transports


@pytest.mark.parametrize("compressed", [True, False], ids=["compressed", "raw"])
def test_the_transport_that_is_offered_is_found(ros, rig, images, stub_model, tmp_path, compressed):
    part = Rig(rig.cameras[:2])
    graph = Graph(part, tmp_path, f"model:={stub_model}", "compressed:=auto", compressed=compressed)
    try:
        graph.answer(graph.publish(images[:2]))  # the first set already
        kind, ending = ("compressed", "/compressed") if compressed else ("raw", "")
        graph.warned(f"camera front: {kind} images on {{ns}}/front/image_raw{ending}")
        other = f"{graph.namespace}/front/image_raw{'' if compressed else '/compressed'}"
        graph.spin_until(lambda: not graph.node.count_subscribers(other), "the other way's end")
        graph.answer(graph.publish(images[:2]))
        assert "has no publisher" not in graph.text()
    finally:
        graph.close()


def test_raw_images_are_taken_where_both_come(ros, rig, images, stub_model, tmp_path):
    part = Rig(rig.cameras[:1])
    graph = Graph(part, tmp_path, f"model:={stub_model}", "compressed:=auto", compressed=True)
    try:
        raw = graph.node.create_publisher(Image, "front/image_raw", 10)
        graph.spin_until(raw.get_subscription_count, "the node to hear raw images")
        graph.spin_for(1.0)  # it has to know of them, too
        (shot,) = graph.shots(images[:1])
        graph.send([shot])
        graph.compressed = False
        raw.publish(graph.image_msg(images[0], shot.image.header))
        graph.warned("camera front: raw images on {ns}/front/image_raw")
    finally:
        graph.close()


def test_a_topic_that_is_offered_and_stays_empty_is_not_waited_for(
    ros, rig, images, stub_model, tmp_path
):
    """As a player offers it, of a bag that has raw images by name only."""
    part = Rig(rig.cameras[:2])
    graph = Graph(part, tmp_path, f"model:={stub_model}", "compressed:=auto", compressed=True)
    try:
        empty = [graph.node.create_publisher(Image, f"{n}/image_raw", 10) for n in part.names]
        graph.spin_until(lambda: all(p.get_subscription_count() for p in empty), "the node")
        graph.spin_for(1.0)
        for _ in range(4):
            stamps = graph.publish(images[:2])
            graph.spin_for(0.5)
        graph.warned("camera front: compressed images on {ns}/front/image_raw/compressed")
        graph.answer(stamps)
    finally:
        graph.close()


@pytest.mark.parametrize(
    ("topic", "compressed", "found"),
    [
        ("a/image", "auto", [(Image, "a/image"), (CompressedImage, "a/image/compressed")]),
        ("a/image", "true", [(CompressedImage, "a/image/compressed")]),
        ("a/image", "false", [(Image, "a/image")]),
        ("a/image_rect_compressed", "auto", [(CompressedImage, "a/image_rect_compressed")]),
        ("a/compressed", "false", [(CompressedImage, "a/compressed")]),
        ("a/image_uncompressed", "false", [(Image, "a/image_uncompressed")]),
    ],
)
def test_a_name_that_says_compressed_is_believed(topic, compressed, found):
    assert transports(topic, compressed) == found


def test_topics_in_a_list_are_in_the_order_of_the_cameras():
    params = NodeParams(image_topics=["x/left", "y"])
    assert params.topics_of("image_topic", ["a", "b"]) == ["x/left", "y"]
    assert params.topics_of("camera_info_topic", ["a", "b"]) == ["a/camera_info", "b/camera_info"]
    with pytest.raises(ParameterError, match="image_topics has 2 topics for 3 cameras"):
        params.topics_of("image_topic", ["a", "b", "c"])
