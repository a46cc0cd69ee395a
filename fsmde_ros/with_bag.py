"""The node, and the player of a bag beside it in the same process: no image crosses processes.

surround_depth_with_bag BAG [--rig RIG.yaml] [--clock] [--rate 1.0] [--ros-args ...]
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from functools import partial
from pathlib import Path

import rclpy
from rclpy.utilities import remove_ros_args

from fsmde_core.rig import RigError
from fsmde_ros.bags.player import BagError, BagPlayer, layout_to_play, open_source
from fsmde_ros.depth_node import SurroundDepthNode
from fsmde_ros.latency import tune_process
from fsmde_ros.managed import run_managed

WAIT_S = 60.0  # until the node listens; a lifecycle manager may take a while
SETTLE_S = 2.0  # the inputs are found at once in here; other processes have yet to find the outputs


def play_beside(node: SurroundDepthNode, arguments: argparse.Namespace) -> None:
    """Play the bag once the node listens; what is wrong with the bag goes to the node's log."""
    try:
        layout = layout_to_play(arguments.bag, arguments.rig)
        with open_source(arguments.bag) as source:
            player = BagPlayer(source, layout, clock=arguments.clock)
            player.wait_for_subscribers(WAIT_S)
            time.sleep(SETTLE_S)
            player.play(rate=arguments.rate)
            player.linger()
            player.destroy_node()
    except (BagError, RigError) as error:
        node.get_logger().error(str(error))
    except Exception:
        if rclpy.ok():  # else the process is ending
            raise


def make_node(arguments: argparse.Namespace) -> SurroundDepthNode:
    """The node, and the thread of its player."""
    node = SurroundDepthNode()
    player = threading.Thread(target=play_beside, args=(node, arguments), daemon=True)
    player.name = "player"
    player.start()
    return node


def main(args: list[str] | None = None) -> int:
    """Run until told to stop; exit code 1 with one sentence if the node cannot start."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path, help="rosbag2 folder, ROS 1 bag or MCAP file")
    parser.add_argument("--rig", type=Path, help="rig file; rig.yaml beside it if not given")
    parser.add_argument("--rate", type=float, default=1.0, help="times the recorded pace")
    parser.add_argument("--clock", action="store_true", help="publish /clock, for use_sim_time")
    arguments = parser.parse_args(remove_ros_args(args or sys.argv)[1:])
    tune_process()
    return run_managed(partial(make_node, arguments), args, name="surround_depth")


if __name__ == "__main__":
    sys.exit(main())
