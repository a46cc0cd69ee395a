"""Surround depth from a camera rig; with bag:=PATH, from a recorded one.

Only arguments that were given are passed on: a params file's values and a parent's stand.
"""

from pathlib import Path

import launch.logging
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    GroupAction,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessIO
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from fsmde_ros.share import SWITCH, transport_profile
from fsmde_ros.startup import prepare, ros2_bag_play
from fsmde_ros.views.rviz import write_rviz

YES_OR_NO = ["true", "false"]
GIVEN_OR_NOT = ["", *YES_OR_NO]
READY = b"ready: waiting for"  # the node says so once it listens


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(
            "rig", default_value="", description="Rig file, or a shipped one: nuscenes, ddad."
        ),
        DeclareLaunchArgument("model", default_value="", description="Model card."),
        DeclareLaunchArgument(
            "params",
            default_value="",
            description="Parameter file of the node; what else is given here counts more.",
        ),
        DeclareLaunchArgument(
            "compressed", default_value="", description="Whether images come as CompressedImage."
        ),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the nodes."),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="",
            choices=GIVEN_OR_NOT,
            description="Take time from /clock; with bag, the player then publishes it.",
        ),
        DeclareLaunchArgument(
            "auto_start",
            default_value="",
            choices=GIVEN_OR_NOT,
            description="false: leave configure and activate to a lifecycle manager.",
        ),
        DeclareLaunchArgument(
            "bag",
            default_value="",
            description="Recording to replay: rosbag2, ROS 1 bag or MCAP; gives what is not given.",
        ),
        DeclareLaunchArgument(
            "bag_player",
            default_value="ours",
            choices=["ours", "ros2"],
            description="ros2: ros2 bag play instead of fsmde-play.",
        ),
        DeclareLaunchArgument(
            "one_process",
            default_value="false",
            choices=YES_OR_NO,
            description="Play the bag inside the node's own process: no image crosses processes.",
        ),
        DeclareLaunchArgument(
            "rviz",
            default_value="false",
            choices=YES_OR_NO,
            description="Start RViz too, set up for the rig.",
        ),
        DeclareLaunchArgument(
            "transport_profile",
            default_value="true",
            choices=YES_OR_NO,
            description="Let these processes use config/fastdds.xml, or its like of the RMW in "
            "use; a profile that is in the environment stays.",
        ),
        DeclareLaunchArgument(
            "respawn",
            default_value="false",
            choices=YES_OR_NO,
            description="Start the node again when it dies.",
        ),
    ]
    # The group keeps the environment from whatever a parent launch file starts besides.
    return LaunchDescription([*arguments, GroupAction([OpaqueFunction(function=start)])])


def start(context):
    """The processes, once the arguments are known."""
    given = dict(context.launch_configurations)
    folder = Path(launch.logging.launch_config.log_dir)
    inherited = dict(p for p in given.get("global_params", []) if isinstance(p, tuple))
    startup = prepare(given, folder, inherited=inherited)
    actions = [LogInfo(msg=startup.layout.described())] if startup.layout is not None else []
    profile = {SWITCH: "false"}  # else our processes would take it by themselves
    if given["transport_profile"] == "true":
        profile = transport_profile(context.environment)
    actions += [SetEnvironmentVariable(name, value) for name, value in profile.items()]
    play_inside = startup.layout is not None and given["one_process"] == "true"
    node = depth_node(given, startup, play_inside=play_inside)
    actions.append(node)
    if startup.layout is not None and not play_inside:
        actions += player(given, startup, node)
    if given["rviz"] == "true":
        actions.append(rviz(given, startup, folder))
    return actions


def depth_node(given, startup, *, play_inside):
    respawn = given["respawn"] == "true"
    return Node(
        package="fsmde_ros",
        executable="surround_depth_with_bag" if play_inside else "surround_depth",
        namespace=LaunchConfiguration("namespace"),
        arguments=player_arguments(startup) if play_inside else [],
        output="screen",
        respawn=respawn,
        respawn_delay=2.0,
        parameters=list(startup.parameters),
        on_exit=end if startup.layout is not None and not respawn else None,
    )


def end(event, context):
    """A bag is not played on for a node that has ended."""
    if event.returncode and not context.is_shutdown:
        raise RuntimeError(f"{event.process_name} ended with exit code {event.returncode}")
    return Shutdown(reason="the node ended")


def player(given, startup, node):
    """Ours waits for the node by itself; ros2 bag play is started when the node is ready."""
    if given["bag_player"] == "ours":
        return [
            Node(
                package="fsmde_ros",
                executable="fsmde-play",
                namespace=LaunchConfiguration("namespace"),
                arguments=[*player_arguments(startup), "--wait", "60"],
                output="screen",
            )
        ]
    command = ros2_bag_play(startup.layout, namespace=given["namespace"], clock=startup.sim_time)
    started = []

    def on_output(event):
        if READY not in event.text or started:
            return None
        started.append(ExecuteProcess(cmd=command, output="screen"))
        return started

    return [RegisterEventHandler(OnProcessIO(target_action=node, on_stderr=on_output))]


def player_arguments(startup):
    rig = ["--rig", startup.values["rig_file"]] if startup.values.get("rig_file") else []
    return [str(startup.layout.bag), *rig, *(["--clock"] if startup.sim_time else [])]


def rviz(given, startup, folder):
    parameters = [{"use_sim_time": True}] if startup.sim_time else []
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", str(write_rviz(startup.scene(), folder))],
        parameters=parameters,
    )
