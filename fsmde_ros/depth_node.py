"""The node: N synchronized cameras in, N metric depth images and one fused cloud out."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

import rclpy
from nav_msgs.msg import Odometry
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fsmde_core.card import ModelError
from fsmde_core.predictor import Predictor
from fsmde_core.rig import Rig, RigError
from fsmde_core.session import ProviderError
from fsmde_ros.approximate import approximate_time
from fsmde_ros.calibration import (
    Calibration,
    disagreement,
    extrinsics_from_rig,
    extrinsics_from_tf,
)
from fsmde_ros.conversions import MessageError, stamp_to_ns
from fsmde_ros.diagnostics import NodeStatistics, Reporter
from fsmde_ros.ego_motion import EgoMotion, OdometryMotion, TfMotion
from fsmde_ros.intake import Intake, IntakeGroup
from fsmde_ros.interrupts import StartUpError, ros_process
from fsmde_ros.latency import tune_process
from fsmde_ros.loading import load_model, load_rig_file, warm_up
from fsmde_ros.outputs import Outputs
from fsmde_ros.params import ParameterError, declare_params, set_result, with_changes
from fsmde_ros.pipeline import Pipeline
from fsmde_ros.slot import LatestSlot
from fsmde_ros.slower_clock import SlowerClock
from fsmde_ros.sync import RigSync, StampedSet

CONFIGURE_ERRORS = (RigError, ModelError, ProviderError, FileNotFoundError, ImportError)
WARNING_PERIOD_S = 5.0  # one warning a topic in this time
POLL_S = 0.02  # how often deadlines are checked where no image comes in
REPORT_S = 1.0  # between two reports
EXECUTOR_S = 0.5  # how long services and parameters may leave the executor asleep

# Best effort matches either offer; depth 1, since only the newest image is of use.
INPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
ODOMETRY_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)

OnSet = Callable[[int, Mapping[str, float]], None]


class SurroundDepthNode(LifecycleNode):
    """Wires synchronization, pipeline and publishers; a managed (lifecycle) node.

    configure loads rig and model and creates the outputs, activate subscribes and starts two
    threads: the intake files messages as they come, the worker processes the newest set. A set that
    cannot be used is skipped with a throttled warning. make_predictor and on_set, called with the
    number of cameras and the seconds by stage of every set published, are for measuring.
    """

    def __init__(self, *, make_predictor=Predictor, on_set: OnSet | None = None):
        super().__init__("surround_depth", automatically_declare_parameters_from_overrides=True)
        self._make_predictor, self._on_set = make_predictor, on_set
        self.params = declare_params(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self.failure: Exception | None = None
        """Why configure failed."""
        self._rig: Rig | None = None
        self._outputs: Outputs | None = None
        self._inputs: list = []
        self._intake: Intake | None = None
        self._worker: threading.Thread | None = None
        self._warned_at: dict[str, float] = {}

    # Life cycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load rig and model and create the publishers; fails with one sentence."""
        self.failure = None
        try:
            p = self.params
            self._rig = load_rig_file(p)
            names = self._rig.names if self._rig is not None else tuple(p.cameras)
            self._predictor = load_model(
                p, cameras=len(names), make_predictor=self._make_predictor, logger=self.get_logger()
            )
            self._set_up_calibration(names)
        except CONFIGURE_ERRORS as error:
            self.failure = error
            self.get_logger().error(f"cannot be configured: {error}")
            return TransitionCallbackReturn.FAILURE
        warm_up(self._predictor, self._rig, cameras=len(names))
        self._names = names
        self._outputs = Outputs(self, names, self.params)
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the threads."""
        p = self.params
        self._statistics = NodeStatistics(time.monotonic())
        self._sync: RigSync = RigSync(
            self._names,
            slop_ns=round(p.slop_s * 1e9),
            deadline_ns=round(p.deadline_s * 1e9),
            rate_hz=p.rate,
        )
        self._sync_clock, self._handed_over = self._deadline_clock(), False
        self._checked: set[str] = set()
        self._pipeline = Pipeline(self._predictor, self._calibration, self._motion)
        self._slot = LatestSlot()
        self._worker = threading.Thread(target=self._work, name="surround_depth_worker")
        self._worker.start()
        self._subscribe()
        ours = [s for s in self._inputs if isinstance(s.callback_group, IntakeGroup)]
        self._reporter, self._reported_s = self._make_reporter(ours), time.monotonic()
        self._intake = Intake(
            self.context,
            ours,
            poll=self._on_poll,
            poll_s=POLL_S,
            on_error=lambda error: self._warn("intake", f"{type(error).__name__}: {error}"),
        )
        self.get_logger().info(f"ready: waiting for {', '.join(self._image_topics)}")
        return super().on_activate(state)

    def _make_reporter(self, inputs: list[Subscription]) -> Reporter:
        p = self.params
        return Reporter(
            self,
            self._statistics,
            self._sync if p.sync_policy == "rig" else None,
            inputs=inputs,
            outputs=self._outputs.publishers,
            hardware_id=self._predictor.provider,
            model={
                "model": self._predictor.card.name,
                "precision": self._predictor.config.precision,
            },
            motion=self._motion.source if self._motion else "not compensated",
            warn=self._warn,
            sync_clock=self._sync_clock,
        )

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; the set in work is finished first."""
        self.close()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget rig and model, so that the next configure reads them anew."""
        self._outputs.close()
        self._outputs = None
        self._predictor = self._calibration = self._rig = None
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        return super().on_shutdown(state)

    def close(self) -> None:
        """Stop threads and subscriptions, whatever the state."""
        if self._intake is not None:
            self._intake.close()
            self._intake = None
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        if self._worker is not None:
            self._slot.close()
            self._worker.join()
            self._pipeline.close()
            self._worker = None

    # Set-up

    def _set_up_calibration(self, names: tuple[str, ...]) -> None:
        p = self.params
        if self._rig is not None:
            base_frame, extrinsics = self._rig.base_frame, extrinsics_from_rig(self._rig)
            bodies = {c.name: c.body for c in self._rig.cameras if c.body is not None}
        else:
            base_frame, extrinsics = p.base_frame, extrinsics_from_tf(self, p.base_frame)
            bodies = {}
        self._calibration = Calibration(
            names,
            extrinsics=extrinsics,
            base_frame=base_frame,
            rectified=p.rectified,
            fit=self._predictor.fit,
            bodies=bodies,
        )
        self._motion = self._choose_motion(base_frame)

    def _choose_motion(self, base_frame: str) -> EgoMotion | None:
        p = self.params
        if p.odometry_topic:
            topic = self.resolve_topic_name(p.odometry_topic)
            return OdometryMotion(topic, base_frame=base_frame)
        if p.fixed_frame:
            return TfMotion(self, p.fixed_frame, base_frame=base_frame)
        self.get_logger().info("ego motion is not compensated: no odometry_topic, no fixed_frame")
        return None

    def _deadline_clock(self) -> Callable[[], int]:
        """The wall, or, where ROS time is simulated, the slower of the two."""
        if not self.get_parameter("use_sim_time").value:
            return time.monotonic_ns
        return SlowerClock(lambda: self.get_clock().now().nanoseconds, time.monotonic_ns)

    def _subscribe(self) -> None:
        p = self.params
        image_type = CompressedImage if p.compressed else Image
        suffix = "/compressed" if p.compressed else ""
        self._intake_group = IntakeGroup()
        # Before the images: of what is ready, the intake takes first what was subscribed first.
        for i, name in enumerate(self._names):
            topic = p.camera_info_topic.replace("{camera}", name)
            callback = partial(self._on_info, i, self.resolve_topic_name(topic))
            self._inputs.append(self._input(CameraInfo, topic, callback))
        image_topics = [p.image_topic.replace("{camera}", name) + suffix for name in self._names]
        if p.sync_policy == "approximate_time":
            self._inputs += approximate_time(
                self, image_type, image_topics, INPUT_QOS, p.slop_s, self._on_approximate_set
            )
        else:
            self._inputs += [
                self._input(image_type, topic, partial(self._on_image, i))
                for i, topic in enumerate(image_topics)
            ]
        self._image_topics = [self.resolve_topic_name(topic) for topic in image_topics]
        if isinstance(self._motion, OdometryMotion):
            self._inputs.append(
                self._input(Odometry, p.odometry_topic, self._on_odometry, ODOMETRY_QOS)
            )

    def _input(self, kind, topic: str, callback, qos=INPUT_QOS):
        overridable = QoSOverridingOptions.with_default_policies()
        return self.create_subscription(
            kind,
            topic,
            callback,
            qos,
            callback_group=self._intake_group,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
            qos_overriding_options=overridable,
        )

    # Callbacks

    def _on_parameters(self, changes):
        try:
            self.params = with_changes(self.params, changes)
        except ParameterError as error:
            return set_result(str(error))
        return set_result("")

    def _on_info(self, index: int, topic: str, msg: CameraInfo) -> None:
        self._calibration.update(index, msg, topic)

    def _on_odometry(self, msg: Odometry) -> None:
        try:
            self._motion.update(msg)
        except MessageError as error:
            self._warn("odometry", str(error))

    def _on_image(self, index: int, msg: Image | CompressedImage) -> None:
        now_s = time.monotonic()
        self._statistics.image_arrived(now_s)
        resets = self._sync.resets
        future = self._pipeline.decode(index, msg, self._image_topics[index])
        stamp_ns = stamp_to_ns(msg.header.stamp)
        stamped = self._sync.add(index, stamp_ns, future, now_ns=self._sync_clock())
        if self._sync.resets > resets:
            self._statistics.time_went_back(now_s)
            self._warn("time", f"time went back on {self._image_topics[index]}: starting afresh")
        self._hand_over(stamped, now_s)

    def _on_approximate_set(self, *messages) -> None:
        now_s = time.monotonic()
        for _ in messages:
            self._statistics.image_arrived(now_s)
        futures = [
            self._pipeline.decode(i, msg, self._image_topics[i]) for i, msg in enumerate(messages)
        ]
        stamps_ns = tuple(stamp_to_ns(msg.header.stamp) for msg in messages)
        self._hand_over(StampedSet(stamps_ns, tuple(futures)), now_s)

    def _on_poll(self) -> None:
        now_s = time.monotonic()
        if not self._handed_over:  # else the next one would take the place of it in the slot
            self._hand_over(self._sync.poll(now_ns=self._sync_clock()), now_s)
        self._handed_over = False
        if now_s - self._reported_s >= REPORT_S:
            self._reported_s = now_s
            self._reporter.report()

    def _hand_over(self, stamped: StampedSet | None, now_s: float) -> None:
        if stamped is None:
            return
        self._handed_over = True
        self._statistics.set_formed(
            now_s,
            missing=len(stamped.missing),
            spread_s=stamped.spread_ns / 1e9,
            provisional=stamped.provisional,
        )
        if self._slot.put((now_s, stamped)):
            self._statistics.dropped("a newer set came in first", now_s)

    # Worker

    def _work(self) -> None:
        while (item := self._slot.take()) is not None:
            try:
                self._process(*item)
            except MessageError as error:
                self._skipped("a message could not be used", str(error).split(":")[0], str(error))
            except Exception as error:  # whatever it is, the next set may work
                if not rclpy.ok():
                    return
                self._skipped("failure", "failure", f"{type(error).__name__}: {error}")

    def _skipped(self, cause: str, about: str, reason: str) -> None:
        self._statistics.dropped(cause, time.monotonic(), reason)
        self._warn(about, f"set skipped: {reason}")

    def _process(self, arrived_s: float, stamped: StampedSet) -> None:
        output = self._pipeline.process(stamped, self.params)
        started = time.monotonic()
        self._outputs.publish(output)
        finished = time.monotonic()
        total = finished - arrived_s
        seconds = {**output.seconds, "publish": finished - started, "total": total}
        seconds["overhead"] = total - seconds["inference"]
        seconds["since stamp"] = (self.get_clock().now().nanoseconds - stamped.newest_ns) / 1e9
        self._statistics.set_published(finished, seconds)
        if self._on_set is not None:
            self._on_set(len(stamped.present), seconds)
        self._statistics.motion(output.motion_unknown, finished)
        if output.motion_unknown:
            self._warn("motion", f"ego motion is not compensated: {output.motion_unknown}")
        self._check_calibration(stamped)

    def _check_calibration(self, stamped: StampedSet) -> None:
        """Warn once a camera where the rig file and the messages disagree."""
        for i in stamped.present if self._rig is not None else ():
            name = self._names[i]
            if name not in self._checked:
                self._checked.add(name)
                text = disagreement(self._calibration.view(i), self._rig.cameras[i])
                if text:
                    self.get_logger().warning(text)

    def _warn(self, about: str, text: str) -> None:
        now = time.monotonic()
        if now - self._warned_at.get(about, -WARNING_PERIOD_S) >= WARNING_PERIOD_S:
            self._warned_at[about] = now
            self.get_logger().warning(text)


def main(args: list[str] | None = None, **injected) -> int:
    """Run the node until it is told to stop; exit code 1 with one sentence if it cannot start.

    injected is as for SurroundDepthNode.
    """
    tune_process()
    try:
        with ros_process(args):
            executor = SingleThreadedExecutor()
            node = SurroundDepthNode(**injected)
            executor.add_node(node)
            try:
                if node.params.auto_start:
                    node.trigger_configure()
                    if node.failure is not None:
                        raise StartUpError(str(node.failure))
                    node.trigger_activate()
                while rclpy.ok():  # spin() sleeps on if an interrupt comes while it wakes up
                    executor.spin_once(timeout_sec=EXECUTOR_S)
            finally:
                node.close()
    except (StartUpError, ParameterError) as error:
        print(f"surround_depth: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
