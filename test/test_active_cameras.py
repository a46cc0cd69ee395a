"""Cameras that are switched off and on again while the node runs."""

import pytest
from graph import Graph, stamp_of

from fsmde_core.rig import Rig
from fsmde_ros.sync import RigSync

MS = 1_000_000


def feed(sync, *, sending, from_ms, to_ms, period_ms=100):
    """Sets formed while these cameras send, 5 ms apart."""
    sets = []
    for ms in range(from_ms, to_ms, period_ms):
        for i in sending:
            stamp_ns = (ms + 5 * i) * MS
            sets.append(sync.add(i, stamp_ns, None, now_ns=stamp_ns))
        sets.append(sync.poll(now_ns=(ms + 60) * MS))
    return [each for each in sets if each]


@pytest.mark.parametrize("deadline_ns", [0, 100 * MS])
def test_nobody_waits_for_a_camera_that_is_off(deadline_ns):
    sync = RigSync(("a", "b", "c"), slop_ns=40 * MS, deadline_ns=deadline_ns)
    feed(sync, sending=(0, 1, 2), from_ms=1000, to_ms=3000)
    sync.switch({1}, now_ns=3000 * MS)
    sets = feed(sync, sending=(0, 2), from_ms=3000, to_ms=6000)
    assert len(sets) == 30
    assert {(s.present, s.missing) for s in sets} == {((0, 2), ())}
    assert sync.silent(6000 * MS) == () and sync.problems(6000 * MS) == []
    sync.switch(set(), now_ns=6000 * MS)
    sets = feed(sync, sending=(0, 1, 2), from_ms=6000, to_ms=8000)
    assert [s.present for s in sets][-10:] == [(0, 1, 2)] * 10
    assert sync.problems(8000 * MS) == []


def test_a_rig_starts_without_those_that_are_off_and_takes_them_in_later():
    sync = RigSync(("a", "b"), slop_ns=40 * MS, deadline_ns=100 * MS)
    sync.switch({1}, now_ns=0)
    sets = feed(sync, sending=(0,), from_ms=1000, to_ms=2000)
    assert len(sets) >= 5 and not any(s.missing for s in sets)
    sync.switch(set(), now_ns=2000 * MS)
    sets = feed(sync, sending=(0, 1), from_ms=2000, to_ms=4000)
    assert [s.present for s in sets][-5:] == [(0, 1)] * 5


def test_the_slowest_camera_that_is_off_does_not_set_the_pace():
    sync = RigSync(("fast", "slow"), slop_ns=40 * MS, deadline_ns=100 * MS)
    for ms in range(1000, 4000, 50):
        sync.add(0, ms * MS, None, now_ns=ms * MS)
        if ms % 200 == 0:
            sync.add(1, ms * MS, None, now_ns=ms * MS)
    sync.switch({1}, now_ns=4000 * MS)
    assert len(feed(sync, sending=(0,), from_ms=4000, to_ms=6000, period_ms=50)) >= 38


def test_a_camera_is_switched_off_and_on_over_dds(ros, rig, images, stub_model, tmp_path):
    graph = Graph(Rig(rig.cameras[:3]), tmp_path, f"model:={stub_model}")
    depths = graph.received["front_right/depth/image_rect"]

    def unreadable(i, image, info):
        if i == 1:
            image.encoding = "yuv9"

    try:
        graph.answer(graph.publish(images[:3]))
        assert "'rear' is not one of front, " in graph.set_parameter("active_cameras", ["rear"])
        assert graph.set_parameter("active_cameras", ["back_right", "front"]) == ""
        for _ in range(3):
            stamps = graph.publish(images[:3], edit=unreadable)
            graph.answer(stamps, without=[1])
        graph.spin_until(
            lambda: not graph.images[1].get_subscription_count(), "the node to unsubscribe"
        )
        count = len(depths)
        status = graph.status(lambda s: "cameras switched off" in s)
        assert status["cameras switched off"] == "front_right"
        assert status["missing cameras"] == "none" and "yuv9" not in graph.text()
        assert graph.set_parameter("active_cameras", [""]) == ""
        graph.spin_until(lambda: graph.images[1].get_subscription_count(), "the node to subscribe")
        graph.spin_for(0.5)
        for _ in range(5):
            stamps = graph.publish(images[:3])
            graph.spin_for(0.3)
        graph.answer(stamps)
        assert stamps[1] in map(stamp_of, depths[count:])
    finally:
        graph.close()
    assert graph.process.returncode == 0


def test_a_start_with_a_camera_that_the_rig_lacks_is_one_sentence(ros, rig, tmp_path):
    graph = Graph(
        Rig(rig.cameras[:1]), tmp_path, "active_cameras:=[rear]", "auto_start:=false", wait=False
    )
    try:
        assert not graph.transition(1)
        graph.warned("parameter active_cameras: 'rear' is not one of front")
    finally:
        graph.close()
