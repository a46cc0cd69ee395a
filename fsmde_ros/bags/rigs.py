"""The rig of a recording: from its CameraInfo and transforms, else from a rig file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fsmde_core.rig import Camera, Rig, RigError, load_rig
from fsmde_ros.bags.cameras import Choice, best, camera_names, other_than_camera
from fsmde_ros.bags.frames import guessed_poses, is_body_frame, says_where, to_optical
from fsmde_ros.bags.scan import Scan
from fsmde_ros.camera_info import ImageGeometry, read_camera_info
from fsmde_ros.conversions import MessageError
from fsmde_ros.share import share_dir

PLACES_GUESSED = "where they sit is GUESSED"


def guessed_names(
    choices: Sequence[Choice], usual: Mapping[str, Choice], given: Rig, found: Scan
) -> tuple[list[str], list[Choice], list[str]]:
    """Which recorded camera is which of a rig's, in the rig's order: by its topic or its frame.

    usual are those of a rig made of the recording: such a rig file gets them again. Returns (names,
    their choices, sentences about those that might be another one).
    """
    called = dict(zip(camera_names(choices), choices))
    names, used, doubts = [], [], []
    for camera in given.cameras:
        own = usual.get(camera.name)
        matching = [own] if own in choices else _matching(camera, called, found)
        matching = [choice for choice in matching if choice not in used]
        if not matching:
            continue
        names.append(camera.name)
        used.append(best(matching, found.look))
        others = ", ".join(choice.image.name for choice in matching if choice is not used[-1])
        if others:
            doubts.append(f"camera {camera.name}: {used[-1].image.name} is taken, not {others}")
    return names, used, doubts


def _matching(camera: Camera, called: Mapping[str, Choice], found: Scan) -> list[Choice]:
    """What may be a rig's camera: of its name, else with that in its topic, else of its frame."""
    name = camera.name.strip("/")
    if name in called:
        return [called[name]]
    by_topic = [
        choice
        for choice in called.values()
        if name in choice.plain.strip("/").split("/") or choice.plain.startswith(f"/{name}/")
    ]
    by_frame = [c for c in called.values() if found.frames.get(c.image.name) == camera.frame_id]
    matching = by_topic or by_frame
    return [choice for choice in matching if not other_than_camera(choice.image)] or matching


def without_useless(found: Scan, choices: Sequence[Choice]) -> dict[str, str]:
    """Forget CameraInfos that no camera can be made of: topic -> a sentence that says why.

    For recordings with a rig file, which then says what they do not.
    """
    useless = {}
    for topic, info in found.infos.items():
        try:
            read_camera_info(info, topic, rectified=any(info.p))
        except MessageError as error:
            useless[topic] = f"{error}; the rig file's K is used"
    for choice in choices:
        if found.look(choice).misfit:
            useless[choice.info.name] = f"{_other_size(choice, found)}; the rig file's K is used"
    for topic in useless:
        del found.infos[topic]
    return useless


def make_rig(
    cameras: Sequence, choices: Sequence[Choice], found: Scan, given: Rig | None
) -> tuple[Rig | None, bool, tuple, list[str]]:
    """(rig, rectified, the cameras that can be used, sentences) of a recording's cameras.

    cameras are CameraTopics. A camera without calibration is left out, if others have one. Where
    none has a place in the transforms, places are guessed from the names, and that is said.
    """
    rectified, doubts = _rectified(choices, found)
    if given is not None:
        used, misfits = _of_their_size(cameras, given)
        doubts += misfits
        order = [given.names.index(camera.name) for camera in used]
        return given.subset(order), rectified, used, doubts
    kept, pinholes = [], []
    for camera, choice in zip(cameras, choices):
        try:
            pinhole, note = _pinhole(camera, choice, found, rectified=rectified)
        except MessageError as error:
            doubts.append(f"camera {camera.name} is left out: {error}")
            continue
        if note:
            doubts.append(note)
        kept.append(camera)
        pinholes.append(pinhole)
    if not kept:
        return None, rectified, tuple(cameras), doubts
    posed, more = _posed(pinholes, found)
    by_name = {camera.name: camera for camera in posed}
    kept = [camera for camera in kept if camera.name in by_name]
    rig = Rig(tuple(by_name[camera.name] for camera in kept), base_frame=found.base_frame)
    return rig, rectified, tuple(kept), doubts + more


def draft_rig(cameras: Sequence, found: Scan) -> tuple[Rig, list[str]]:
    """A rig of CameraTopics of which no K is known, each K a wide one, and what is guessed.

    Places are those in the transforms, else guessed from the names.
    """
    pinholes = [
        Camera(c.name, c.frame_id or c.name, c.width, c.height, _wide_K(c), np.eye(4))
        for c in cameras
    ]
    posed, doubts = _posed(pinholes, found)
    by_name = {camera.name: camera for camera in posed}
    guesses = guessed_poses([camera.name for camera in pinholes])
    drafted = [
        by_name.get(c.name, replace(c, T_ego_cam=guess)) for c, guess in zip(pinholes, guesses)
    ]
    doubts = [doubt for doubt in doubts if "is left out" not in doubt]
    return Rig(tuple(drafted), base_frame=found.base_frame), doubts


def _wide_K(camera) -> np.ndarray:
    focal, centre = camera.width, (camera.width / 2, camera.height / 2)
    return np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])


def _rectified(choices: Sequence[Choice], found: Scan) -> tuple[bool, list[str]]:
    """Whether the node has to be told that images are rectified: a D stands beside them."""
    distorted = [
        c for c in choices if c.info and any(found.infos[c.info.name].d if _has(c, found) else ())
    ]
    by_name = [c for c in distorted if c.rectified]
    if by_name and len(by_name) < len(distorted):
        others = ", ".join(c.image.name for c in distorted if not c.rectified)
        return True, [f"rectified holds for all cameras, and by its name does not for {others}"]
    return bool(by_name), []


def _of_their_size(cameras: Sequence, given: Rig) -> tuple[tuple, list[str]]:
    """The cameras whose images fit their CameraInfo, else the rig file, and sentences about the
    others; RigError where there is none."""
    used, others = [], {}
    for camera in cameras:
        known = given.cameras[given.names.index(camera.name)]
        size, wanted = (camera.width, camera.height), (known.width, known.height)
        if camera.info_topic is not None or not camera.width or size == wanted:
            used.append(camera)
        else:
            sizes = tuple(f"{width}x{height}" for width, height in (size, wanted))
            others.setdefault(sizes, []).append(camera.name)
    doubts = [
        f"left out, as the images are {size} and those of the rig file {wanted}: {', '.join(names)}"
        for (size, wanted), names in others.items()
    ]
    if not used:
        raise RigError("; ".join(doubts))
    return tuple(used), doubts


def _other_size(choice: Choice, found: Scan) -> str:
    """A sentence about images of another size than their CameraInfo says."""
    sizes = found.sizes[choice.image.name], found.size_said(choice)
    seen, said = (f"{width}x{height}" for width, height in sizes)
    return f"{choice.image.name} has images of {seen}, {choice.info.name} is of {said}"


def _has(choice: Choice, found: Scan) -> bool:
    return choice.info is not None and choice.info.name in found.infos


def _pinhole(camera, choice: Choice, found: Scan, *, rectified: bool) -> tuple[Camera, str]:
    """The camera at the origin, and a sentence about it or none; MessageError if not known."""
    if not _has(choice, found):
        return _shipped(camera)
    if found.look(choice).misfit:
        raise MessageError(
            f"{_other_size(choice, found)}: say K and size in a rig.yaml beside the recording"
        )
    topic = choice.info.name
    geometry: ImageGeometry = read_camera_info(found.infos[topic], topic, rectified=rectified)
    pinhole = geometry.camera(camera.name, np.eye(4), topic)
    return replace(pinhole, frame_id=camera.frame_id or camera.name), ""


def _shipped(camera) -> tuple[Camera, str]:
    """The camera of a dataset's shipped rig that has the same name and size."""
    for file in sorted((share_dir() / "config").glob("rig_*.yaml")):
        if file.stem == "rig_template":
            continue
        for known in load_rig(file).cameras:
            size = (known.width, known.height) == (camera.width, camera.height)
            if size and known.name.lower() == camera.name.lower():
                pinhole = replace(
                    known,
                    name=camera.name,
                    frame_id=camera.frame_id or camera.name,
                    T_ego_cam=np.eye(4),
                    body=None,
                )
                note = f"camera {camera.name} has no CameraInfo: K is that of {file.name}, GUESSED"
                return pinhole, f"{note} by its name and size"
    raise MessageError(
        f"{camera.image_topic} has no CameraInfo: say K and size in a rig.yaml beside the recording"
    )


def _posed(pinholes: Sequence[Camera], found: Scan) -> tuple[list[Camera], list[str]]:
    """The cameras at their places in the transforms, and sentences about those without one."""
    base = found.base_frame
    poses = [found.tree.pose(base, camera.frame_id) for camera in pinholes]
    frames = [camera.frame_id for camera in pinholes]
    shared = {frame for frame in frames if frames.count(frame) > 1}
    placed_alone = [p for p, frame in zip(poses, frames) if p is not None and frame not in shared]
    if not placed_alone and (shared or poses.count(None) == len(poses)):
        why = f"share the frame {', '.join(sorted(shared))}" if shared else "are not in /tf_static"
        names = [camera.name for camera in pinholes]
        guesses = guessed_poses(names)
        order = "" if any(map(says_where, names)) else ", which say only an order, clockwise"
        return [replace(c, T_ego_cam=T) for c, T in zip(pinholes, guesses)], [
            f"the cameras {why}: {PLACES_GUESSED} from their names{order}: correct it in rig.yaml"
        ]
    placed, doubts = [], []
    for camera, pose in zip(pinholes, poses):
        if pose is None:
            doubts.append(
                f"camera {camera.name} is left out: /tf has no {base} <- {camera.frame_id}"
            )
            continue
        if camera.frame_id in shared:
            doubts.append(
                f"camera {camera.name} is left out: another one has its frame {camera.frame_id}, "
                "too: say in a rig.yaml where each sits"
            )
            continue
        if is_body_frame(pose):
            pose = to_optical(pose)
            doubts.append(
                f"camera {camera.name}: its frame {camera.frame_id} is no optical one, z looks up: "
                "taken as x forward, y left"
            )
        placed.append(replace(camera, T_ego_cam=pose))
    return placed, doubts
