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


def generate_launch_description():
    share = FindPackageShare("fsmde_ros")
    profile = PathJoinSubstitution([share, "config", "fastdds.xml"])
    arguments = [
        DeclareLaunchArgument(
            "rig",
            default_value=PathJoinSubstitution([share, "config", "rig_nuscenes.yaml"]),
            description="Rig file: camera names, sizes, K and extrinsics.",
        ),
        DeclareLaunchArgument(
            "model",
            default_value=PathJoinSubstitution([share, "models", "student_s.json"]),
            description="Model card.",
        ),
        DeclareLaunchArgument(
            "params",
            default_value=PathJoinSubstitution([share, "config", "nuscenes.yaml"]),
            description="Parameter file of the node.",
        ),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node."),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=["true", "false"],
            description="Take time from /clock.",
        ),
        DeclareLaunchArgument("bag", default_value="", description="rosbag2 folder to replay."),
    ]
    # Both names: Jazzy reads the first, Kilted the second. A profile of the user's own stays.
    environment = [
        SetEnvironmentVariable(name, EnvironmentVariable(name, default_value=profile))
        for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    ]
    use_sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    node = Node(
        package="fsmde_ros",
        executable="surround_depth",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[
            LaunchConfiguration("params"),
            {
                "rig_file": LaunchConfiguration("rig"),
                "model": LaunchConfiguration("model"),
                "use_sim_time": use_sim_time,
            },
        ],
    )
    player = Node(
        package="fsmde_ros",
        executable="fsmde-play",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        arguments=[LaunchConfiguration("bag"), "--wait", "60"],
        condition=IfCondition(NotEqualsSubstitution(LaunchConfiguration("bag"), "")),
    )
    return LaunchDescription([*arguments, *environment, node, player])
