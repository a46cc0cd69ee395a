"""The node: N synchronized cameras in, N metric depth images and one fused cloud out.

An image's way, and the thread that takes it there:

    topic
      |  intake (intake.py)    _on_image: the image to the decoders, its stamp to the RigSync
      |  decode-0, decode-1    Pipeline.decode: RGB, rectified, of the network's size (decode.py)
      |  intake                RigSync.add and poll: the set that is complete or late (sync/)
      |  (no thread)           LatestSlot: a set that nobody took is replaced by a newer one
      |  inference (worker.py) Pipeline.process: the network, the messages, the cloud (cloud.py)
      |  inference             Outputs.publish
    depth/image_rect, points

The executor's thread, the process's first, has life cycle, parameters and TF.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from nav_msgs.msg import Odometry
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fsmde_core.rig import Rig
from fsmde_core.runtime.predictor import Predictor
from fsmde_ros.calibration import Calibration, extrinsics_from_rig, extrinsics_from_tf
from fsmde_ros.conversions import MessageError, stamp_to_ns
from fsmde_ros.declaring import declare_params, set_result, with_changes
from fsmde_ros.diagnostics.losses import Losses
from fsmde_ros.diagnostics.reporter import Reporter
from fsmde_ros.diagnostics.statistics import NodeStatistics
from fsmde_ros.ego_motion import EgoMotion, OdometryMotion, TfMotion
from fsmde_ros.faults import sentence
from fsmde_ros.inputs import Inputs
from fsmde_ros.intake import Intake
from fsmde_ros.latency import tune_process
from fsmde_ros.loading import FinitePredictor, expected_fits, load_model, load_rig_file
from fsmde_ros.managed import ManagedNode, run_managed
from fsmde_ros.names import check_names
from fsmde_ros.outputs import Outputs
from fsmde_ros.params import NodeParams, ParameterError
from fsmde_ros.pipeline import Pipeline, SetOutput
from fsmde_ros.rig_frames import publish_frames
from fsmde_ros.sync import RigSync, StampedSet
from fsmde_ros.sync.approximate import approximate_time
from fsmde_ros.sync.slower_clock import SlowerClock
from fsmde_ros.sync.thinning import Thinning
from fsmde_ros.transforms import Transforms
from fsmde_ros.worker import Worker

POLL_S = 0.02  # how often deadlines are checked where no image comes in
SPARE_S = 0.005  # between two looks at deadlines: an image itself says what it makes ready
WORTH_S = 0.04  # so long, or half a period, a set may wait before an overdue one takes its place
REPORT_S = 1.0  # between two reports

OnSet = Callable[[int, Mapping[str, float]], None]


class SurroundDepthNode(ManagedNode):
    """Wires synchronization, pipeline and publishers; a managed (lifecycle) node.

    set_up loads rig and model and creates the outputs, start subscribes and starts two threads:
    the intake files messages as they come, the worker processes the newest set. A set that cannot
    be used is skipped with a throttled warning. make_predictor and on_set, called with the number
    of cameras and the seconds by stage of every set published, are for measuring.
    """

    def __init__(self, *, make_predictor=Predictor, on_set: OnSet | None = None):
        super().__init__("surround_depth")
        self._make_predictor, self._on_set = make_predictor, on_set
        self.params = declare_params(self)
        check_names(self, self.params, () if self.params.rig_file else self.params.cameras)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._names: tuple[str, ...] = ()
        self._intake: Intake | None = None
        self._worker: Worker | None = None

    # Life cycle

    def set_up(self) -> None:
        """Load rig and model and create the publishers."""
        p = self.params
        self._rig: Rig | None = load_rig_file(p)
        self._names = self._rig.names if self._rig is not None else tuple(p.cameras)
        check_names(self, p, self._names)
        p.active(self._names)  # raises where one is unknown
        self._predictor = load_model(
            p,
            cameras=len(self._names),
            make_predictor=self._make_predictor,
            logger=self.get_logger(),
        )
        self._set_up_calibration(self._names)
        self._fits = expected_fits(self._predictor, self._rig, cameras=len(self._names))
        self._predictor.warm_up(self._fits)
        self._outputs = Outputs(self, self._names, p)

    def start(self) -> None:
        """Subscribe and start the threads."""
        p = self.params
        self._statistics, self._losses = NodeStatistics(time.monotonic()), Losses()
        self._sync: RigSync = RigSync(
            self._names,
            slop_ns=round(p.slop_s * 1e9),
            deadline_ns=round(p.deadline_s * 1e9),
            rate_hz=p.rate,
        )
        self._thinning = Thinning(self._sync)
        self._sync_clock = self._deadline_clock()
        self._looked_s = self._handed_over_s = 0.0
        self._inputs = Inputs(
            self,
            p,
            self._names,
            on_image=self._on_image if p.sync_policy == "rig" else self._on_approximate_image,
            on_info=self._on_info,
            on_odometry=self._on_odometry if isinstance(self._motion, OdometryMotion) else None,
        )
        self._reporter, self._reported_s = self._make_reporter(), time.monotonic()
        predictor = FinitePredictor(self._predictor)
        self._pipeline = Pipeline(predictor, self._calibration, self._motion)
        self._pipeline.warm_up(self._fits, p)
        self._worker = Worker(
            partial(self._process, self._pipeline),
            self._publish,
            on_error=self._skipped,
            on_end=self._pipeline.close,
        )
        if p.publish_tf:
            publish_frames(self, self._rig)
        self._listen()

    def stop(self) -> None:
        """Stop listening; the set in work is finished first."""
        intake, self._intake = self._intake, None
        try:
            if intake is not None:
                intake.close()  # before the worker goes, which the intake's thread asks
        finally:
            worker, self._worker = self._worker, None
            if worker is not None:
                worker.close()

    def tear_down(self) -> None:
        """Forget rig and model, so that the next configure reads them anew."""
        self._outputs = self._predictor = self._calibration = self._motion = self._rig = None

    def _make_reporter(self) -> Reporter:
        p = self.params
        return Reporter(
            self,
            self._statistics,
            self._sync if p.sync_policy == "rig" else None,
            inputs=lambda: self._inputs.subscriptions,
            images=lambda: self._inputs.images,
            never_came=self._never_came,
            losses=self._losses,
            with_info=self._calibration.with_info,
            more=self._choices,
            outputs=self._outputs.publishers,
            hardware_id=self._predictor.provider,
            model={
                "model": self._predictor.card.name,
                "precision": self._predictor.config.precision,
            },
            motion=self._motion.source if self._motion else "not compensated",
            warn=self.warn,
            sync_clock=self._sync_clock,
        )

    def _never_came(self) -> list[Subscription]:
        """Where something should have come by now; odometry says nothing where it is heard."""
        infos = self._inputs.infos_of(self._calibration.without_info())
        return infos + self._inputs.odometry

    # Set-up

    def _set_up_calibration(self, names: tuple[str, ...]) -> None:
        p = self.params
        motion_from_tf = p.fixed_frame and not p.odometry_topic
        transforms = Transforms(self) if self._rig is None or motion_from_tf else None
        if self._rig is not None:
            base_frame, extrinsics = self._rig.base_frame, extrinsics_from_rig(self._rig)
            bodies = {c.name: c.body for c in self._rig.cameras if c.body is not None}
        else:
            base_frame, extrinsics = p.base_frame, extrinsics_from_tf(transforms, p.base_frame)
            bodies = {}
        self._calibration = Calibration(
            names,
            extrinsics=extrinsics,
            base_frame=base_frame,
            rectified=p.rectified,
            fit=self._predictor.fit,
            bodies=bodies,
            expected=self._rig,
            info_from_rig=p.camera_info_from_rig,
        )
        self._motion = self._choose_motion(base_frame, transforms)

    def _choose_motion(self, base_frame: str, transforms: Transforms | None) -> EgoMotion | None:
        p = self.params
        if p.odometry_topic:
            topic = self.resolve_topic_name(p.odometry_topic)
            return OdometryMotion(topic, base_frame=base_frame)
        if p.fixed_frame:
            return TfMotion(transforms, p.fixed_frame, base_frame=base_frame)
        self.get_logger().info("ego motion is not compensated: no odometry_topic, no fixed_frame")
        return None

    def _deadline_clock(self) -> Callable[[], int]:
        """The wall, or, where ROS time is simulated, the slower of the two."""
        if not self.get_parameter("use_sim_time").value:
            return time.monotonic_ns
        return SlowerClock(lambda: self.get_clock().now().nanoseconds, time.monotonic_ns)

    def _listen(self) -> None:
        """Listen to the active cameras, and no longer to the others."""
        if self._intake is not None:
            self._intake.close()
        active = self.params.active(self._names)
        off = set(range(len(self._names))).difference(active)
        self._sync.switch(off, now_ns=self._sync_clock())
        if self.params.sync_policy == "approximate_time":
            on_set = partial(self._on_approximate_set, active)
            receivers = approximate_time(len(active), self.params.slop_s, on_set)
            self._approximate = dict(zip(active, receivers))
        self._inputs.listen_to(active)
        self._intake = Intake(
            self,
            self._inputs.subscriptions,
            self._inputs.group,
            poll=self._on_poll,
            poll_s=POLL_S,
            on_error=lambda error: self.warn("intake", sentence(error)),
            note=self._losses.note,
        )
        topics = (self._inputs.image_topics[i] for i in active)
        self.get_logger().info(f"ready: waiting for {', '.join(topics)}")

    def _choices(self) -> dict[str, str]:
        """What the status says of what was chosen, where it is not as ever."""
        off = [self._names[i] for i in sorted(self._sync.off)]
        chosen = {
            "cameras switched off": ", ".join(off),
            "CameraInfo from the rig file": ", ".join(self._calibration.from_rig()),
        }
        return {key: text for key, text in chosen.items() if text}

    # Callbacks

    def _on_parameters(self, changes):
        before = self.params
        try:
            params = with_changes(before, changes)
            switched = self._names and params.active(self._names) != before.active(self._names)
        except ParameterError as error:
            return set_result(str(error))
        self.params = params
        if switched and self._intake is not None:
            return set_result(self._switch(before))
        return set_result("")

    def _switch(self, before: NodeParams) -> str:
        """Listen to other cameras than before; why that cannot be, where all stays as it was."""
        with self.making("start"):
            try:
                self._listen()
            except Exception as error:
                self.params = before
                self._listen()
                return sentence(error)
        return ""

    def _on_info(self, index: int, msg: CameraInfo) -> None:
        self._calibration.update(index, msg, self._inputs.info_topics[index])

    def _on_odometry(self, msg: Odometry) -> None:
        try:
            self._motion.update(msg)
        except MessageError as error:
            self.warn("odometry", str(error))

    def _on_image(self, index: int, msg: Image | CompressedImage) -> None:
        now_s = time.monotonic()
        self._statistics.image_arrived(now_s)
        resets, topic = self._sync.resets, self._inputs.image_topics[index]
        stamp_ns = stamp_to_ns(msg.header.stamp)
        item = self._item(index, stamp_ns, msg)
        stamped = self._sync.add(index, stamp_ns, item, now_ns=self._sync_clock())
        if self._sync.resets > resets:
            self._statistics.time_went_back(now_s)
            self.warn("time", f"time went back on {topic}: starting afresh")
        self._hand_over(stamped, now_s)

    def _item(self, index: int, stamp_ns: int, msg: Image | CompressedImage):
        """The future of an image as the network takes it."""
        decode = partial(self._pipeline.decode, index, msg, self._inputs.image_topics[index])
        return self._thinning.item(index, stamp_ns, decode, rate_hz=self.params.max_rate_hz)

    def _on_approximate_image(self, index: int, msg: Image | CompressedImage) -> None:
        self._statistics.image_arrived(time.monotonic())
        self._approximate[index](msg)

    def _on_approximate_set(self, cameras: Sequence[int], *messages) -> None:
        stamps_ns, items = [None] * len(self._names), [None] * len(self._names)
        for i, msg in zip(cameras, messages):
            stamps_ns[i] = stamp_to_ns(msg.header.stamp)
            items[i] = self._item(i, stamps_ns[i], msg)
        off = tuple(self._sync.off)
        stamped = StampedSet(tuple(stamps_ns), tuple(items), switched_off=off)
        self._hand_over(stamped, time.monotonic())

    def _on_poll(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s > SPARE_S and not self._is_taking_turns(now_s):
            self._hand_over(self._sync.poll(now_ns=self._sync_clock()), now_s)
        if now_s - self._reported_s >= REPORT_S:
            self._reported_s = now_s
            self._reporter.report()

    def _is_taking_turns(self, now_s: float) -> bool:
        """Whether the worker has yet to take a set that is worth waiting for."""
        worth_s = min(WORTH_S, self._sync.pace_ns / 2e9)
        return self._worker.waiting and now_s - self._handed_over_s < worth_s

    def _hand_over(self, stamped: StampedSet | None, now_s: float) -> None:
        if stamped is None:
            self._looked_s = now_s
            return
        self._handed_over_s = now_s
        goes_on = self._thinning.goes_on(stamped, rate_hz=self.params.max_rate_hz)
        self._statistics.set_formed(
            now_s,
            missing=len(stamped.missing),
            spread_s=stamped.spread_ns / 1e9,
            provisional=stamped.provisional,
            passed_over=not goes_on,
        )
        if goes_on:
            for _ in range(self._worker.put((now_s, stamped), pace_s=self._sync.pace_ns / 1e9)):
                self._statistics.dropped("a newer set came in first", now_s)

    # Worker

    def _skipped(self, error: Exception) -> None:
        if not self.context.ok():
            return  # an interrupt in the middle of a set: nobody is told any more
        reason = sentence(error)
        cause, about = "failure", "failure"
        if isinstance(error, MessageError):
            cause, about = "a message could not be used", reason.split(":")[0]
        self._statistics.dropped(cause, time.monotonic(), reason)
        self.warn(about, f"set skipped: {reason}")

    def _process(self, pipeline: Pipeline, item: tuple[float, StampedSet]) -> SetOutput:
        return pipeline.process(item[1], self.params)

    def _publish(self, item: tuple[float, StampedSet], output: SetOutput) -> None:
        arrived_s, stamped = item
        started = time.monotonic()
        self._outputs.publish(output)
        finished = time.monotonic()
        total = finished - arrived_s
        seconds = {**output.seconds, "publish": finished - started, "total": total}
        seconds["overhead"] = total - seconds["inference"]
        seconds["since stamp"] = (self.get_clock().now().nanoseconds - stamped.newest_ns) / 1e9
        self._statistics.set_published(finished, seconds)
        if self._on_set is not None:
            self._on_set(len(output.cameras), seconds)
        for reason in output.left_out:
            self._statistics.left_out(finished, reason)
            self.warn(reason.split(":")[0], f"left out of the set: {reason}")
        self._statistics.motion(output.motion_unknown, finished)
        if output.motion_unknown:
            self.warn("motion", f"ego motion is not compensated: {output.motion_unknown}")
        self._statistics.calibration(output.doubts)
        for text in output.news:
            self.get_logger().warning(text)


def main(args: list[str] | None = None, **injected) -> int:
    """Run the node until it is told to stop; exit code 1 with one sentence if it cannot start.

    injected is as for SurroundDepthNode.
    """
    tune_process()
    return run_managed(partial(SurroundDepthNode, **injected), args, name="surround_depth")


if __name__ == "__main__":
    sys.exit(main())
