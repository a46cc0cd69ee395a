"""The main job end to end: bag -> player process -> DDS -> node process -> output bag, picture.

make demo renders a street and replays it; fsmde-demo --data <nuScenes root> replays a real scene,
fsmde-demo --bag <recording> any recording. --model CARD takes another model than the shipped one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fsmde_core.card import ModelError, load_card
from fsmde_core.data.nuscenes import read_keyframes, version_in
from fsmde_core.data.sample import DatasetError, Sample, read_image
from fsmde_core.files import whole_file
from fsmde_core.rig import Rig, RigError
from fsmde_core.tables import table
from fsmde_core.visualize import surround_panel
from fsmde_ros.bags.layout import BagLayout, look_into, write_setup
from fsmde_ros.bags.source import BagError
from fsmde_ros.bags.writer import RIG_FILE, write_bag
from fsmde_ros.params import NodeParams
from fsmde_ros.tools.replay import DemoError, RecordedSet, output_topics, read_output, replay

CLOUD = "cloud_edge_ratio:=0.15"
PACE_HZ = 2.0  # of a recording's fastest camera, while it is replayed
LONGEST_S = 10.0  # of a recording that is shown
SLOWEST_HZ = 2.0  # of a film
SPREAD_MARGIN = 1.05
DRIVE_SEED = 1_000_003  # of the validation split: no shipped model was trained on it
DRIVE_SIZE = (640, 360)
DRIVE_FRAMES = 4
DRIVE_HZ = 2.0  # nuScenes' keyframes; slow enough for any machine to keep up


def render_street(folder: Path) -> list[Sample]:
    """A short drive through the street as samples whose JPEGs lie in folder; DemoError if numba
    is missing."""
    try:
        from fsmde_core.street.camera_view import RenderConfig
        from fsmde_core.street.compile import announce_compiling
        from fsmde_core.street.drive import DriveConfig, render_drive
        from fsmde_core.street.rigs import make_rig
    except ImportError as error:
        raise DemoError(f"rendering needs the extra [street] ({error}), or give --data") from error
    config = DriveConfig(
        frames=DRIVE_FRAMES, rate_hz=DRIVE_HZ, render=RenderConfig(samples=2, reflections=True)
    )
    rig, samples = make_rig("nuscenes").resized(*DRIVE_SIZE), []
    announce_compiling()
    drive = render_drive(DRIVE_SEED, rig, config)
    for frames in tqdm(drive, total=DRIVE_FRAMES, desc="rendering the street", unit="frame"):
        files = [folder / f"{f.camera.name}_{frames.index:03d}.jpg" for f in frames.cameras]
        for file, frame in zip(files, frames.cameras):
            file.write_bytes(frame.jpeg)
        samples.append(
            Sample(
                scene=f"street-{DRIVE_SEED}",
                token=f"street-{DRIVE_SEED}-{frames.index}",
                rig=rig,
                image_files=tuple(files),
                stamps_ns=tuple(f.stamp_ns for f in frames.cameras),
                T_world_ego=np.stack([f.T_world_ego for f in frames.cameras]),
                lidar=None,
            )
        )
    return samples


def run_demo(samples: Sequence[Sample], out: Path, *, title: str, model: str = "") -> Path:
    """Replay samples through the node; returns the picture. DemoError or BagError if a part fails.

    model: the node's parameter of that name, a card; empty: the shipped one.

    Leaves input/ (bag and rig file), output/ (bag of everything the node published) and
    surround.png in the folder `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "input", ignore_errors=True)
    write_bag(samples, out / "input")
    names = samples[0].rig.names
    rig_file = f"rig_file:={out / 'input' / RIG_FILE}"
    parameters = (rig_file, "compressed:=true", f"slop_s:={slop_s(samples):.3f}", CLOUD)
    replay(
        out / "output",
        output_topics(names),
        node=_given(*parameters, *_model(model)),
        player=[str(out / "input")],
    )
    sets = read_output(out / "output", names)
    matched = _matched(sets, samples)
    _print_table(samples[0].rig, [r for _, r in matched], f"of {len(samples)} played")
    sample, recorded = matched[len(matched) // 2]
    panel = surround_panel(
        [read_image(sample.image_files[i]) for i in recorded.cameras],
        recorded.depths,
        sample.rig.subset(recorded.cameras),
        xyz=recorded.xyz,
        rgb=recorded.rgb,
        caption=f"{title}, {len(recorded.xyz):,} points in {sample.rig.base_frame}",
    )
    picture = out / "surround.png"
    _write_picture(picture, panel)
    return picture


def slop_s(samples: Sequence[Sample]) -> float:
    """The node's parameter for these samples: the default, or more where their stamps spread more.

    Cameras that fire one after another at 10 Hz, say, are up to 83 ms apart.
    """
    spread_ns = max(max(sample.stamps_ns) - min(sample.stamps_ns) for sample in samples)
    return max(NodeParams.slop_s, SPREAD_MARGIN * spread_ns / 1e9)


def run_bag_demo(
    bag: Path, out: Path, *, rig_file: Path | None = None, model: str = ""
) -> list[Path]:
    """Replay the first LONGEST_S of any recording through the node; returns what was drawn.

    surround.png, and surround.mp4 where there are several sets. Leaves setup/ (params.yaml and
    rig.yaml) and output/ beside them. DemoError, BagError or RigError if a part fails.
    """
    layout = look_into(bag, rig_file=rig_file)
    print(layout.described(), flush=True)
    rig = layout.known_rig()
    setup = write_setup(layout, out / "setup")
    pace = min(1.0, PACE_HZ / max(1e-6, max(camera.rate_hz for camera in layout.cameras)))
    if pace < 1:
        print(f"replayed {1 / pace:.1f} times slower than it was recorded, for any machine")
    names = rig.names
    parameters = ("use_sim_time:=true", "publish_color:=true", CLOUD)
    given = _given(*parameters, *_model(model))
    replay(
        out / "output",
        output_topics(names, color=True),
        node=["--params-file", str(setup.params_file), *given],
        player=[
            *[str(bag), "--clock", "--rate", f"{pace:.3f}", "--seconds", str(LONGEST_S)],
            *(["--rig", str(rig_file)] if rig_file else []),
        ],
    )
    sets = [s for s in read_output(out / "output", names) if s.images]
    _check_any(sets)
    rates_hz = [layout.cameras[i].rate_hz for i in sets[0].cameras]
    recorded = round(min(rates_hz) * min(layout.seconds, LONGEST_S))
    _print_table(rig, sets, f"of about {max(recorded, len(sets))} recorded")
    return _draw(sets, layout, out)


def _given(*parameters: str) -> list[str]:
    return [argument for parameter in parameters for argument in ("-p", parameter)]


def _model(card: str) -> list[str]:
    return [f"model:={card}"] if card else []


def _draw(sets: Sequence[RecordedSet], layout: BagLayout, out: Path) -> list[Path]:
    """The picture of the set in the middle, and a film of all, if there are several."""
    rig, guessed = layout.known_rig(), ", places of cameras GUESSED" if layout.guessed else ""
    panels = (
        surround_panel(
            recorded.images,
            recorded.depths,
            rig.subset(recorded.cameras),
            xyz=recorded.xyz,
            rgb=recorded.rgb,
            caption=f"{layout.bag.name}, {len(recorded.xyz):,} points in {rig.base_frame}{guessed}",
        )
        for recorded in tqdm(sets, desc="drawing", unit="set", disable=None)
    )
    picture, film = out / "surround.png", out / "surround.mp4"
    print(f"drawing {picture}{f' and {film}' if len(sets) > 1 else ''}", flush=True)
    if len(sets) == 1:
        _write_picture(picture, next(panels))
        return [picture]
    length_s = (max(sets[-1].stamps_ns) - max(sets[0].stamps_ns)) / 1e9
    rate_hz = min(max((len(sets) - 1) / max(length_s, 1e-3), SLOWEST_HZ), 30.0)
    with whole_file(film) as beside:
        frames = beside.with_suffix(".mp4")  # the name says the format
        writer = None
        for i, panel in enumerate(panels):
            panel = panel[: panel.shape[0] // 2 * 2]  # MP4 has even sides
            if writer is None:
                writer = _film(frames, rate_hz, panel.shape[1::-1])
            writer.write(cv2.cvtColor(panel, cv2.COLOR_RGB2BGR))
            if i == len(sets) // 2:
                _write_picture(picture, panel)
        writer.release()
        if not frames.is_file():
            raise DemoError(f"film {film} cannot be written: this OpenCV has no MP4")
        frames.replace(beside)
    return [picture, film]


def _film(file: Path, rate_hz: float, size: Sequence[int]) -> cv2.VideoWriter:
    """A writer of VP9, which browsers play, or of what every OpenCV with MP4 has."""
    for codec in ("vp09", "mp4v"):
        fourcc = cv2.VideoWriter_fourcc(*codec)
        writer = cv2.VideoWriter(str(file), fourcc, rate_hz, tuple(size))
        if writer.isOpened():
            break
    return writer


def _write_picture(picture: Path, panel: np.ndarray) -> None:
    if not cv2.imwrite(str(picture), cv2.cvtColor(panel, cv2.COLOR_RGB2BGR)):
        raise DemoError(f"picture {picture} cannot be written")


def _matched(sets: list[RecordedSet], samples: Sequence[Sample]) -> list[tuple]:
    """Pairs (sample, set); DemoError if there are none or one carries foreign stamps or frames."""
    _check_any(sets)
    cameras, pairs = sets[0].cameras, []
    by_stamps = {tuple(sample.stamps_ns[i] for i in cameras): sample for sample in samples}
    for recorded in sets:
        sample = by_stamps.get(recorded.stamps_ns)
        if sample is None:
            raise DemoError(f"the node published stamps {recorded.stamps_ns} that no sample has")
        frame_ids = tuple(sample.rig.cameras[i].frame_id for i in cameras)
        if recorded.frame_ids != frame_ids:
            raise DemoError(f"the node published frames {recorded.frame_ids}, not {frame_ids}")
        pairs.append((sample, recorded))
    return pairs


def _check_any(sets: Sequence[RecordedSet]) -> None:
    if not sets:
        raise DemoError("the node published no complete set; its log says why")


def _print_table(rig: Rig, sets: Sequence[RecordedSet], of: str) -> None:
    """What came out; `of` says how many sets went in."""
    recorded = sets[len(sets) // 2]
    print(f"\ndepth sets received {len(sets)} {of}; one of them:")
    rows = []
    cameras = rig.subset(recorded.cameras).cameras
    for camera, depth, stamp_ns in zip(cameras, recorded.depths, recorded.stamps_ns):
        valid, size = np.isfinite(depth), f"{depth.shape[1]}x{depth.shape[0]}"
        median = f"{np.median(depth[valid]):.1f} m" if valid.any() else "-"
        rows.append([camera.name, size, f"{valid.mean():.0%}", median, f"{stamp_ns / 1e9:.6f}"])
    print(table(["camera", "size", "valid", "median depth", "stamp"], rows))
    finite = int(np.isfinite(recorded.xyz).all(axis=1).sum())
    print(f"cloud: {finite:,} finite points in {rig.base_frame}")
    for name in (rig.names[i] for i in range(len(rig.names)) if i not in recorded.cameras):
        print(f"camera {name} is missing: the node left it out of most sets, its log says why")
    print()


def _run(arguments: argparse.Namespace) -> Path:
    """The demo on a dataset or a rendered street; the picture."""
    with tempfile.TemporaryDirectory() as folder:
        if arguments.data:
            version = arguments.version or version_in(arguments.data)
            samples = read_keyframes(arguments.data, version).of_scene(arguments.scene)
            title = samples[0].scene
        else:
            samples, title = render_street(Path(folder)), f"street, seed {DRIVE_SEED}"
        return run_demo(samples, arguments.out, title=title, model=arguments.model)


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 with one sentence if a part fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="nuScenes root; without it a rendered street")
    parser.add_argument("--bag", type=Path, help="rosbag2, ROS 1 bag or MCAP file to replay")
    parser.add_argument("--rig", type=Path, help="with --bag: its rig file, rig.yaml beside it")
    parser.add_argument("--version", help="folder of tables; v1.0-trainval or v1.0-mini if there")
    parser.add_argument("--scene", help="scene name; the first if not given")
    parser.add_argument("--model", metavar="CARD", default="", help="card; the shipped model's")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for results")
    arguments = parser.parse_args(argv)
    try:
        if arguments.model:
            load_card(arguments.model)  # said before anything is rendered
        if arguments.bag:
            drawn = run_bag_demo(
                arguments.bag, arguments.out, rig_file=arguments.rig, model=arguments.model
            )
            bags = arguments.out / "output"
        else:
            drawn = [_run(arguments)]
            bags = f"{arguments.out / 'input'}, {arguments.out / 'output'}"
    except (DatasetError, ModelError, BagError, DemoError, RigError) as error:
        print(f"fsmde-demo: {error}", file=sys.stderr)
        return 1
    print(f"picture: {', '.join(map(str, drawn))}\nbags: {bags}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
