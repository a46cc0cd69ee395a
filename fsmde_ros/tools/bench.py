"""fsmde-bench with what the node does after the inference; messages only where ROS is there."""

from __future__ import annotations

import sys

from fsmde_core.bench.variant import Laps
from fsmde_core.runtime.predictor import Prediction
from fsmde_ros.cloud import CloudBuilder, CloudOptions
from fsmde_ros.share import share_dir


class NodeStages:
    """Messages, cloud and their bytes, as the node makes them with its default parameters."""

    def __init__(self):
        from std_msgs.msg import Header

        from fsmde_ros.latency import tune_process
        from fsmde_ros.params import NodeParams

        tune_process()
        self._params, self._header = NodeParams(), Header(frame_id="camera")
        self._builder: CloudBuilder | None = None

    def __call__(self, prediction: Prediction, laps: Laps) -> None:
        from rclpy.serialization import serialize_message

        from fsmde_ros.answers import camera_messages, depth_image
        from fsmde_ros.conversions import cloud_msg

        if self._builder is None:
            self._builder = CloudBuilder(prediction.rig, self._params.cloud_options())
            laps.start()
        cameras = range(len(prediction.fits))
        depths = [depth_image(prediction, i, self._params) for i in cameras]
        answers = [
            camera_messages(prediction, i, depths[i], self._header, self._params) for i in cameras
        ]
        laps("postprocess")
        cloud = cloud_msg(self._builder(prediction, depths), self._header)
        laps("cloud")
        for message in (*(m for messages in answers for m in messages.values()), cloud):
            serialize_message(message)
        laps("publish")


class CloudStage:
    """The cloud alone."""

    def __init__(self):
        self._builder: CloudBuilder | None = None

    def __call__(self, prediction: Prediction, laps: Laps) -> None:
        if self._builder is None:
            self._builder = CloudBuilder(prediction.rig, CloudOptions())
            laps.start()
        self._builder(prediction, [prediction.depth_image(i) for i in range(len(prediction.fits))])
        laps("cloud")


def main(argv: list[str] | None = None) -> int:
    """Command line of fsmde-bench."""
    # Here, since every process that measures imports this file but none of the exporters.
    from fsmde_core.bench.main import main as bench

    try:
        import rclpy  # noqa: F401

        make_follow_up = NodeStages
    except ImportError:
        make_follow_up = CloudStage
    share = share_dir()
    return bench(
        argv,
        model=share / "models" / "student_s.json",
        rig_file=share / "config" / "rig_nuscenes.yaml",
        make_follow_up=make_follow_up,
    )


if __name__ == "__main__":
    sys.exit(main())
