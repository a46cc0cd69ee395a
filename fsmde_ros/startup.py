"""What the launch file works out from its arguments before it starts anything.

It knows nothing of launch itself, so that it can be used, and tested, where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from fsmde_ros.bags.layout import BagLayout, look_into, write_setup
from fsmde_ros.loading import load_rig_file, rig_path
from fsmde_ros.params import NodeParams, ParameterError
from fsmde_ros.views.scene import Scene, scene_of

NODE = "surround_depth"
AS_PARAMETER = {"rig": "rig_file"}  # launch argument -> parameter, where they differ
PARAMETERS = ("rig", "model", "compressed", "use_sim_time", "auto_start")
CLOCK_HZ = 100


@dataclass(frozen=True)
class StartUp:
    """The node's parameters, and what else depends on them."""

    parameters: tuple[str | dict[str, Any], ...]
    """For the node, later ones count more: files, then what was given as an argument."""
    values: Mapping[str, Any]
    """What they come to, less what is as by default."""
    layout: BagLayout | None
    """Of the bag, if there is one."""

    @property
    def sim_time(self) -> bool:
        """Whether the node takes its time from /clock."""
        return bool(self.values.get("use_sim_time", False))

    def scene(self) -> Scene:
        """What a viewer is to show. RigError if the rig file cannot be used."""
        known = {f.name for f in fields(NodeParams)}
        params = NodeParams(**{name: v for name, v in self.values.items() if name in known})
        return scene_of(params, load_rig_file(params))


def prepare(
    arguments: Mapping[str, str], folder: Path, *, inherited: Mapping[str, Any] | None = None
) -> StartUp:
    """From launch arguments, of which empty ones were not given, to the node's parameters.

    With a bag, what it holds gives the parameters that nobody gave; they are written to the folder.
    inherited are those that a parent launch file sets for all nodes. ParameterError, BagError or
    RigError if the params file, the bag or the rig cannot be used.
    """
    given = {
        AS_PARAMETER.get(name, name): yaml.safe_load(arguments[name])
        for name in PARAMETERS
        if arguments.get(name)
    }
    files = [arguments["params"]] if arguments.get("params") else []
    namespace = arguments.get("namespace", "")
    stated = {**(inherited or {}), **parameters_in(files, namespace=namespace), **given}
    layout = None
    if arguments.get("bag"):
        rig_file = stated.get("rig_file")
        layout = look_into(
            Path(arguments["bag"]), rig_file=rig_path(rig_file) if rig_file else None
        )
        layout.known_rig()
        setup = write_setup(layout, folder)
        files.insert(0, str(setup.params_file))
        given["rig_file"] = str(setup.rig_file)  # that was given, less what is not recorded
    values = {**(inherited or {}), **parameters_in(files, namespace=namespace), **given}
    return StartUp((*files, given) if given else tuple(files), values, layout)


def parameters_in(files: Sequence[str], *, namespace: str = "") -> dict[str, Any]:
    """The node's parameters in parameter files, of which later ones count more.

    ParameterError names a file that is missing or none.
    """
    values: dict[str, Any] = {}
    for file in files:
        try:
            document = yaml.safe_load(Path(file).read_text()) or {}
            sections = {name.lstrip("/"): section for name, section in document.items()}
            for name in _section_names(namespace):
                values |= (sections.get(name) or {}).get("ros__parameters") or {}
        except OSError as error:
            raise ParameterError(f"params file {file}: {error.strerror or error}") from error
        except (UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise ParameterError(f"params file {file} is no parameter file: {reason}") from error
    return values


def ros2_bag_play(layout: BagLayout, *, namespace: str, clock: bool) -> list[str]:
    """The command that plays what the node needs of a bag, and nothing else, into a namespace."""
    played = {camera.image_topic: camera.played_topic for camera in layout.cameras}
    others = [camera.info_topic for camera in layout.cameras if camera.info_topic]
    others += [layout.odometry_topic] if layout.odometry_topic else []
    played |= {topic: topic for topic in others}
    prefix = "/".join(["", *filter(None, namespace.split("/"))])
    moved = [f"{old}:={prefix}{new}" for old, new in played.items() if prefix or old != new]
    command = ["ros2", "bag", "play", str(layout.bag), "--topics", *played]
    command += ["/tf", "/tf_static"] if layout.tf else []
    command += ["--remap", *moved] if moved else []
    return [*command, "--clock", str(CLOCK_HZ)] if clock else command


def _section_names(namespace: str) -> list[str]:
    """Keys of a parameter file that hold for the node, without the first slash."""
    whole = "/".join([*filter(None, namespace.split("/")), NODE])
    return ["**", f"**/{NODE}", whole]
