"""Where the package's launch, config and models folders are installed."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

PACKAGE = "fsmde_ros"
FASTDDS_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Environment variables that name Fast DDS's profile: Jazzy reads the first, Kilted the second."""


def use_fastdds_profile() -> None:
    """Let this process and those it starts use our Fast DDS profile, unless they have one."""
    for variable in FASTDDS_VARIABLES:
        os.environ.setdefault(variable, str(share_dir() / "config" / "fastdds.xml"))


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
