from diagnostic_msgs.msg import DiagnosticStatus

from fsmde_ros.diagnostics import STAGES, NodeStatistics, status_msg


def test_rates_are_those_of_the_last_five_seconds():
    statistics = NodeStatistics(0.0)
    for i in range(120):  # 12 Hz for ten seconds
        now_s = i / 12
        statistics.image_arrived(now_s)
        statistics.set_formed(now_s, missing=i % 2, spread_s=0.043)
        statistics.set_published(now_s, dict.fromkeys(STAGES, 0.02))
    values = statistics.summary(10.0)
    assert values["images in [Hz]"] == values["sets out [Hz]"] == 12.0
    assert values["partial sets [Hz]"] == 6.0
    assert values["set spread [ms]"] == 43.0
    assert values["inference p50 [ms]"] == values["total p95 [ms]"] == 20.0
    assert statistics.summary(100.0)["sets out [Hz]"] == 0


def test_drops_are_counted_by_cause():
    statistics = NodeStatistics(0.0)
    for cause in ("late", "late", "broken"):
        statistics.dropped(cause, 0.0)
    values = statistics.summary(0.0)
    assert values["dropped: late"] == 2 and values["dropped: broken"] == 1


def test_problems_are_those_of_the_last_five_seconds():
    statistics = NodeStatistics(0.0)
    statistics.set_formed(1.0, missing=0, spread_s=0.0)
    statistics.set_formed(2.0, missing=1, spread_s=0.0)
    statistics.dropped("broken", 3.0, "/front/image_raw: JPEG is truncated")
    expected = ["set skipped: /front/image_raw: JPEG is truncated", "1 of 2 sets lack a camera"]
    assert statistics.problems(4.0) == expected
    assert statistics.problems(9.0) == []
    assert statistics.without_full_set_s(4.0) == 3.0


def test_levels():
    def level(problems, sets_out):
        return status_msg(
            "node", hardware_id="CPU", problems=problems, sets_out=sets_out, values={"a": 1}
        ).level

    assert level([], True) == DiagnosticStatus.OK
    assert level(["camera back silent for 2.0 s"], True) == DiagnosticStatus.WARN
    assert level(["no image yet from front"], False) == DiagnosticStatus.ERROR
