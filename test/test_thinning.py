"""max_rate_hz: which sets go on, and that nothing is done for the others."""

import pytest
from graph import Graph

from fsmde_core.rig import Rig
from fsmde_ros.sync import RigSync
from fsmde_ros.sync.thinning import Later, Thinning

MS = 1_000_000


def run(thinning, sync, *, seconds, camera_hz, rate_hz, start_s=0.0):
    """Stamps in seconds of the sets that go on, and which images were worked on before."""
    kept, begun = [], set()
    for k in range(round(seconds * camera_hz)):
        stamp_ns = round((start_s + k / camera_hz) * 1e9) + 1
        item = thinning.item(0, stamp_ns, lambda k=k: begun.add(k), rate_hz=rate_hz)
        stamped = sync.add(0, stamp_ns, item, now_ns=stamp_ns)
        if stamped and thinning.goes_on(stamped, rate_hz=rate_hz):
            kept.append(k)
    return kept, begun


@pytest.fixture
def one():
    sync = RigSync(("front",), slop_ns=75 * MS)
    return Thinning(sync), sync


@pytest.mark.parametrize(
    ("camera_hz", "rate_hz", "wanted"),
    [(12, 0, 120), (12, 12, 120), (10, 12, 100), (12, 5, 50), (12, 6, 60), (30, 1, 10)],
)
def test_so_many_sets_go_on_as_are_asked_for(one, camera_hz, rate_hz, wanted):
    kept, _ = run(*one, seconds=10, camera_hz=camera_hz, rate_hz=rate_hz)
    assert abs(len(kept) - wanted) <= 1
    gaps = [b - a for a, b in zip(kept, kept[1:])]
    assert max(gaps) - min(gaps) <= 1  # evenly


def test_images_of_sets_that_do_not_go_on_are_hardly_worked_on(one):
    kept, begun = run(*one, seconds=10, camera_hz=12, rate_hz=3)
    assert begun >= set(kept)
    assert len(begun) <= len(kept) + 2


def test_time_that_goes_back_and_pauses_do_not_stop_it(one):
    run(*one, seconds=4, camera_hz=10, rate_hz=2, start_s=100.0)
    again, _ = run(*one, seconds=4, camera_hz=10, rate_hz=2, start_s=0.0)
    assert 6 <= len(again) <= 9
    later, _ = run(*one, seconds=4, camera_hz=10, rate_hz=2, start_s=60.0)
    assert 7 <= len(later) <= 9


def test_what_is_asked_for_begins_once():
    started = []

    class Done:
        def exception(self):
            return None

        def result(self):
            return 7

    later = Later(lambda: started.append(1) or Done())
    assert not started
    assert later.exception() is None and later.result() == 7 and started == [1]


def test_the_node_passes_over_sets_before_it_decodes_them(ros, rig, images, stub_model, tmp_path):
    graph = Graph(Rig(rig.cameras[:2]), tmp_path, f"model:={stub_model}", "max_rate_hz:=1.0")

    def unreadable(i, image, info):
        image.encoding = "yuv9"

    try:
        for _ in range(4):  # stamps half a second apart
            graph.answer(graph.publish(images[:2]))
            graph.publish(images[:2], edit=unreadable)
            graph.spin_for(0.3)
        status = graph.status(lambda s: float(s.get("sets passed over [Hz]", 0)) > 0)
        assert not [key for key in status if key.startswith("dropped")]
        assert "yuv9" not in graph.text()
        assert len(graph.received["points"]) == 4
        assert graph.set_parameter("max_rate_hz", 0.0) == ""
        for _ in range(3):
            graph.answer(graph.publish(images[:2]))
    finally:
        graph.close()
