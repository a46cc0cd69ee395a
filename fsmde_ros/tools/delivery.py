"""What of a machine decides whether images arrive, and what to change there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rclpy.utilities import get_rmw_implementation_identifier

from fsmde_ros.share import (
    CYCLONE_VARIABLE,
    FASTDDS_VARIABLES,
    RMW_VARIABLE,
    ZENOH_VARIABLE,
    transport_profile,
)

ZENOH_OVERRIDE = "ZENOH_CONFIG_OVERRIDE"
ENOUGH_PERCENT = 99.0
RECEIVE_BUFFER = Path("/proc/sys/net/core/rmem_max")
FRAGMENT_MEMORY = Path("/proc/sys/net/ipv4/ipfrag_high_thresh")
WANTED_BYTES = 4 << 20  # what config/fastdds.xml asks for a socket
SHARED_MEMORY = Path("/dev/shm")
SEGMENT_MB = 64  # of config/fastdds.xml and zenoh.json5, for each process that publishes


@dataclass(frozen=True)
class Delivery:
    """What arrived of the images of a rig."""

    kind: str
    """raw or compressed."""
    sent: int
    """Images of each camera."""
    received: tuple[int, ...]
    """Images of each camera, in the rig's order."""
    latency_ms: tuple[float, float]
    """Median and 95th percentile from stamp to callback."""

    @property
    def percent(self) -> float:
        """Share of all images that arrived."""
        return 100 * sum(self.received) / max(self.sent * len(self.received), 1)


@dataclass(frozen=True)
class Machine:
    """What of this machine decides about delivery."""

    rmw: str
    environment: Mapping[str, str]
    """Of the camera drivers, as far as it is about the transport."""
    receive_buffer: int | None
    """Largest receive buffer of a socket, bytes; None where Linux does not say."""
    fragment_memory: int | None
    """Memory for incomplete IP packets, bytes."""
    shared_memory_mb: float | None
    """Size of /dev/shm."""


def this_machine(environment: Mapping[str, str]) -> Machine:
    """Read from the system; environment is that of the camera drivers."""
    names = (*FASTDDS_VARIABLES, CYCLONE_VARIABLE, ZENOH_VARIABLE, ZENOH_OVERRIDE, RMW_VARIABLE)
    shared = None
    if SHARED_MEMORY.is_dir():
        stat = os.statvfs(SHARED_MEMORY)
        shared = stat.f_frsize * stat.f_blocks / 1e6
    return Machine(
        rmw=get_rmw_implementation_identifier(),
        environment={name: environment[name] for name in names if environment.get(name)},
        receive_buffer=_number_in(RECEIVE_BUFFER),
        fragment_memory=_number_in(FRAGMENT_MEMORY),
        shared_memory_mb=shared,
    )


def advice(machine: Machine, deliveries: Sequence[Delivery]) -> list[str]:
    """What to change, one plain sentence each; empty if everything arrives."""
    lossy = [d for d in deliveries if d.percent < ENOUGH_PERCENT]
    found = [_loss(d) for d in lossy]
    if machine.rmw.startswith("rmw_fastrtps"):
        found += _about_fastdds(machine, lossy)
    elif machine.rmw.startswith("rmw_cyclonedds"):
        found += _about_cyclone(machine, lossy)
    elif machine.rmw.startswith("rmw_zenoh"):
        found += _about_zenoh(machine, lossy)
    elif lossy:
        found.append(f"{machine.rmw} is in use, which this package has no profile for.")
    # Zenoh's links are TCP, and Fast DDS has shared memory on one machine
    if machine.rmw.startswith("rmw_cyclonedds") or (lossy and "zenoh" not in machine.rmw):
        found += _about_sockets(machine)
    if lossy and len(found) == len(lossy):
        found.append(
            "The settings are as they should be: this machine is too slow or too busy for this "
            "rig; send compressed images, fewer of them, or smaller ones."
        )
    return found


def _loss(delivery: Delivery) -> str:
    silent = sum(count == 0 for count in delivery.received)
    text = f"Only {delivery.percent:.0f} % of the {delivery.kind} images arrive"
    who = "1 camera gets" if silent == 1 else f"{silent} cameras get"
    return f"{text}, and {who} nothing through." if silent else f"{text}."


def _about_fastdds(machine: Machine, lossy: Sequence[Delivery]) -> list[str]:
    found = []
    profile = next(
        (machine.environment[n] for n in FASTDDS_VARIABLES if n in machine.environment), None
    )
    if profile is None:
        found.append(
            f"No Fast DDS profile is set, and the default shared memory holds half a megabyte: "
            f"{_advised(machine)}"
        )
    elif not Path(profile).is_file():
        found.append(f"The Fast DDS profile {profile} does not exist, so the default is in use.")
    elif lossy:
        found.append(
            f"The Fast DDS profile in use is {profile}: compare it with config/fastdds.xml."
        )
    return found + _about_shared_memory(machine)


def _about_cyclone(machine: Machine, lossy: Sequence[Delivery]) -> list[str]:
    config = machine.environment.get(CYCLONE_VARIABLE)
    if config is None:
        return [
            f"No configuration of Cyclone DDS is set, and its default sends images in small "
            f"pieces: {_advised(machine)}"
        ]
    if not lossy:
        return []
    return [
        f"{CYCLONE_VARIABLE} is {config}: compare it with config/cyclonedds.xml (Cyclone DDS sends "
        f"through sockets, so their buffers decide)."
    ]


def _about_zenoh(machine: Machine, lossy: Sequence[Delivery]) -> list[str]:
    names = (ZENOH_VARIABLE, ZENOH_OVERRIDE)
    given = next((machine.environment[n] for n in names if n in machine.environment), None)
    found = []
    if given is None:
        found.append(
            f"No configuration of Zenoh's session is set, and its default has no shared memory: "
            f"{_advised(machine)}"
        )
    elif lossy:
        found.append(f"Zenoh's session is {given}: compare it with config/zenoh.json5.")
    if any(not any(delivery.received) for delivery in lossy):
        found.append("Is Zenoh's router running? ros2 run rmw_zenoh_cpp rmw_zenohd")
    return found + _about_shared_memory(machine)


def _advised(machine: Machine) -> str:
    """Our profile for the RMW in use, as variables to set."""
    profile = transport_profile({**machine.environment, RMW_VARIABLE: machine.rmw})
    settings = " and ".join(f"{name}={value}" for name, value in profile.items())
    return (
        f"put {settings} into the environment of the camera drivers and of everything else that "
        f"publishes images or clouds."
    )


def _about_shared_memory(machine: Machine) -> list[str]:
    if machine.shared_memory_mb is None or machine.shared_memory_mb >= 4 * SEGMENT_MB:
        return []
    return [
        f"/dev/shm holds {machine.shared_memory_mb:.0f} MB, which is little for {SEGMENT_MB} MB a "
        f"publishing process: in a container, start it with --shm-size=1g."
    ]


def _about_sockets(machine: Machine) -> list[str]:
    found = []
    for name, size in (
        ("net.core.rmem_max", machine.receive_buffer),
        ("net.ipv4.ipfrag_high_thresh", machine.fragment_memory),
    ):
        if size is not None and size < WANTED_BYTES:
            found.append(
                f"{name} is {size} bytes, images between machines need more: "
                f"sudo sysctl -w {name}={8 * WANTED_BYTES}"
            )
    return found


def _number_in(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
