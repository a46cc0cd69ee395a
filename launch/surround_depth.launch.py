"""Surround depth from a camera rig; with bag:=PATH, from a recorded one."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import (
    EnvironmentVariable,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from fsmde_ros.share import FASTDDS_VARIABLES


def generate_launch_description():
    share = FindPackageShare("fsmde_ros")
    profile = PathJoinSubstitution([share, "config", "fastdds.xml"])
    yes_or_no = ["true", "false"]
    arguments = [
        DeclareLaunchArgument(
            "rig", default_value="nuscenes", description="Rig: nuscenes, ddad, or a rig file."
        ),
        DeclareLaunchArgument(
            "model",
            default_value=PathJoinSubstitution([share, "models", "student_s.json"]),
            description="Model card.",
        ),
        DeclareLaunchArgument(
            "params",
            default_value=PathJoinSubstitution([share, "config", "surround_depth.yaml"]),
            description="Parameter file of the node; what else stands here goes before it.",
        ),
        DeclareLaunchArgument(
            "compressed",
            default_value="false",
            choices=yes_or_no,
            description="Subscribe to CompressedImage.",
        ),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the nodes."),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=yes_or_no,
            description="Take time from /clock; with bag, the player then publishes it.",
        ),
        DeclareLaunchArgument("bag", default_value="", description="rosbag2 folder to replay."),
        DeclareLaunchArgument(
            "rviz", default_value="false", choices=yes_or_no, description="Start RViz too."
        ),
        DeclareLaunchArgument(
            "respawn",
            default_value="false",
            choices=yes_or_no,
            description="Start the node again when it dies.",
        ),
    ]
    # Both names: Jazzy reads the first, Kilted the second. A profile of the user's own stays.
    environment = [
        SetEnvironmentVariable(name, EnvironmentVariable(name, default_value=profile))
        for name in FASTDDS_VARIABLES
    ]
    use_sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    node = Node(
        package="fsmde_ros",
        executable="surround_depth",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        respawn=LaunchConfiguration("respawn"),
        respawn_delay=2.0,
        parameters=[
            LaunchConfiguration("params"),
            {
                "rig_file": LaunchConfiguration("rig"),
                "model": LaunchConfiguration("model"),
                "compressed": ParameterValue(LaunchConfiguration("compressed"), value_type=bool),
                "use_sim_time": use_sim_time,
            },
        ],
    )
    player = Node(
        package="fsmde_ros",
        executable="fsmde-play",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        arguments=[LaunchConfiguration("bag"), "--wait", "60", "--clock"],
        condition=IfCondition(NotEqualsSubstitution(LaunchConfiguration("bag"), "")),
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", PathJoinSubstitution([share, "config", "surround_depth.rviz"])],
        parameters=[{"use_sim_time": use_sim_time}],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription([*arguments, *environment, node, player, rviz])
