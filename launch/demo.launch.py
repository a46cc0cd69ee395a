"""A street is rendered, turned into a bag, and replayed through the node; no data set needed."""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare

SEED = "3"  # a city street in the sun
SCENE = "scene-000003"


def generate_launch_description():
    share = FindPackageShare("fsmde_ros")
    folder = LaunchConfiguration("folder")
    arguments = [
        DeclareLaunchArgument(
            "folder",
            default_value="fsmde_street",
            description="Where street and bag are kept; what is there already is not made again.",
        ),
        DeclareLaunchArgument(
            "frames", default_value="24", description="Length of the drive; 12 frames a second."
        ),
        DeclareLaunchArgument(
            "scale", default_value="0.4", description="Size of the images over 1600x900."
        ),
        DeclareLaunchArgument("rviz", default_value="true", description="Start RViz too."),
    ]
    render = ExecuteProcess(
        cmd=[
            ExecutableInPackage(package="fsmde_ros", executable="fsmde-street"),
            *("--seed", SEED),
            *("--frames", LaunchConfiguration("frames")),
            *("--scale", LaunchConfiguration("scale")),
            *("--out", folder),
        ],
        output="screen",
    )
    convert = ExecuteProcess(
        cmd=[
            ExecutableInPackage(package="fsmde_ros", executable="fsmde-dataset-to-bag"),
            folder,
            PathJoinSubstitution([folder, "bags"]),
            *("--scene", "all"),
            "--sweeps",
        ],
        output="screen",
    )
    replay = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([share, "launch", "surround_depth.launch.py"])
        ),
        launch_arguments={
            "bag": PathJoinSubstitution([folder, "bags", SCENE]),
            "rviz": LaunchConfiguration("rviz"),
        }.items(),
    )
    return LaunchDescription(
        [
            *arguments,
            RegisterEventHandler(OnProcessExit(target_action=render, on_exit=then(convert))),
            RegisterEventHandler(OnProcessExit(target_action=convert, on_exit=then(replay))),
            render,
        ]
    )


def then(action):
    """What follows a process: the action, or the end of it all where the process failed."""

    def on_exit(event, context):
        if event.returncode == 0:
            return action
        if not context.is_shutdown:
            raise RuntimeError(f"{event.process_name} ended with exit code {event.returncode}")
        return None

    return on_exit
