"""Where the package's launch, config and models folders are installed."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path

PACKAGE = "fsmde_ros"
FASTDDS_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Environment variables that name Fast DDS's profile: Jazzy reads the first, Kilted the second."""
CYCLONE_VARIABLE = "CYCLONEDDS_URI"
ZENOH_VARIABLE = "ZENOH_SESSION_CONFIG_URI"
RMW_VARIABLE = "RMW_IMPLEMENTATION"
SWITCH = "FSMDE_TRANSPORT_PROFILE"
"""false here: none of our processes takes a profile by itself."""


def transport_profile(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that give our profile to processes of an environment: name -> value.

    Of the RMW that the environment names, Fast DDS where it names none; empty for one that we have
    no profile for, where SWITCH is false, and where a profile of the user's own is set.
    """
    if environment.get(SWITCH, "").lower() in ("false", "0"):
        return {}
    config, rmw = share_dir() / "config", environment.get(RMW_VARIABLE, "")
    if rmw.startswith("rmw_cyclonedds"):
        profile = {CYCLONE_VARIABLE: (config / "cyclonedds.xml").as_uri()}
    elif rmw.startswith("rmw_zenoh"):
        profile = {ZENOH_VARIABLE: str(config / "zenoh.json5")}
    elif not rmw or rmw.startswith("rmw_fastrtps"):
        profile = dict.fromkeys(FASTDDS_VARIABLES, str(config / "fastdds.xml"))
    else:
        profile = {}
    return {} if any(name in environment for name in profile) else profile


def use_transport_profile() -> dict[str, str]:
    """Let this process and those it starts use our profile; what was set, nothing if they have one.

    To be called before rclpy makes a context: the RMW reads it then.
    """
    profile = transport_profile(os.environ)
    os.environ.update(profile)
    return profile


def share_dir() -> Path:
    """The folder that holds config/, launch/ and models/.

    A checkout (also an editable install), else the ament index (colcon), else the prefix that pip
    installed into. FileNotFoundError if none of them has it.
    """
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "package.xml").is_file():
        return checkout
    try:
        from ament_index_python.packages import get_package_share_directory

        return Path(get_package_share_directory(PACKAGE))
    except (ImportError, KeyError, OSError):  # no ROS, not in its index, no AMENT_PREFIX_PATH
        pass
    installed = Path(sysconfig.get_path("data")) / "share" / PACKAGE
    if not installed.is_dir():
        raise FileNotFoundError(f"the share folder of {PACKAGE} is not installed ({installed})")
    return installed
