"""Does the product hold on this GPU, and what does it gain there? Checks, then times, in minutes.

python -m fsmde_core.bench.gpu --model models/student_s.json --rig config/rig_nuscenes.yaml

Needs no ROS, and torch only for the teachers of the last part (`--teachers` without names: none).
With --provider CPUExecutionProvider it is rehearsed where there is no GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import sched_getaffinity
from pathlib import Path

import numpy as np
import onnxruntime

from fsmde_core.bench.main import machine, measure, street_jpegs
from fsmde_core.bench.plan import BenchConfig
from fsmde_core.bench.report import report, save_report, screen
from fsmde_core.bench.variant import Laps, Surround
from fsmde_core.bench.worker import VariantError
from fsmde_core.card import ModelError, verified_file
from fsmde_core.files import write_text
from fsmde_core.interrupt import unless_interrupted
from fsmde_core.jpeg import decode_jpeg
from fsmde_core.rig import Rig, RigError, load_rig
from fsmde_core.runtime.predictor import Predictor
from fsmde_core.runtime.runs import Run, make_run
from fsmde_core.runtime.session import (
    CPU,
    CUDA,
    FILE_SUFFIX,
    OpenSession,
    ProviderError,
    SessionConfig,
    cuda_options,
    open_session,
    session_options,
)
from fsmde_core.tables import table

SIZES = ((448, 256), (832, 256), (416, 352), (640, 352))
CAMERAS = (1, 4, 6, 8)
EXACT, HALF = 1e-3, 1e-2
"""How far median depths may be from the CPU's, as a share: in fp32, and in fp16."""
Inputs = dict[str, np.ndarray]


class DepthImages:
    """What follows the inference without ROS: depth images by REP 118."""

    def __call__(self, prediction, laps: Laps) -> None:
        for i in range(len(prediction.fits)):
            prediction.depth_image(i)
        laps("postprocess")


def rig_inputs(size: tuple[int, int], cameras: int) -> Inputs:
    """The graph's inputs: smooth random images of a ring of cameras of 70 degrees."""
    width, height = size
    rng = np.random.default_rng(cameras)
    coarse = rng.integers(0, 256, (cameras, height // 16, width // 16, 3), dtype=np.uint8)
    images = coarse.repeat(16, axis=1).repeat(16, axis=2)
    K = np.array([[0.7 * width, 0, width / 2], [0, 0.7 * width, height / 2], [0, 0, 1]])
    T_ego_cam = np.tile(np.eye(4), (cameras, 1, 1))
    for i, angle in enumerate(np.linspace(0, 2 * np.pi, cameras, endpoint=False)):
        c, s = np.cos(angle), np.sin(angle)
        T_ego_cam[i, :3] = [[s, 0, c, c], [-c, 0, s, s], [0, -1, 0, 1.5]]
    K = np.tile(K, (cameras, 1, 1))
    return {"images": images, "K": K.astype("f4"), "T_ego_cam": T_ego_cam.astype("f4")}


def options_taken(model: Path, provider: str) -> list[list[str]]:
    """Rows (option, asked, what the session says): empty for a provider without options."""
    rows = []
    for graph in (False, True) if provider == CUDA else (False,):
        config = SessionConfig(providers=(provider,), cuda_graph=graph)
        opened = open_session(model, config)
        says = opened.session.get_provider_options()[provider]
        for name, asked in (cuda_options(config) if provider == CUDA else {}).items():
            rows.append([name, asked, says.get(name, "not named")])
    return rows


class Checked:
    """A model's files on one provider, in the precisions and ways that are compared."""

    def __init__(self, card: Path, provider: str):
        self.card, self.provider = card, provider

    def run(self, precision: str, *, plain: bool = False, graph: bool = False) -> Run:
        """plain: without bound buffers; tf32: fp32 with what the product leaves off."""
        config = SessionConfig(
            providers=(self.provider,),
            precision="fp32" if precision == "tf32" else precision,
            cuda_graph=graph,
        )
        model = verified_file(self.card, config.suffix)
        if precision == "tf32":
            options = cuda_options(config) | {"use_tf32": "1"}
            session = onnxruntime.InferenceSession(
                str(model), session_options(config), providers=[(CUDA, options)]
            )
            opened = OpenSession(session, CUDA, {})
        else:
            opened = open_session(model, config)
        if plain:
            return lambda groups: [opened.session.run(None, dict(group)) for group in groups]
        return make_run(opened, config)

    def ways(self) -> dict[str, Callable[[], Run]]:
        """Every way to run that this provider has, by its name."""
        ways = {
            "fp32": lambda: self.run("fp32"),
            "fp32 plain": lambda: self.run("fp32", plain=True),
        }
        if self.provider != CUDA:
            return ways
        ways["tf32"] = lambda: self.run("tf32")
        if self.card.with_suffix(FILE_SUFFIX["fp16"]).exists():
            ways["fp16"] = lambda: self.run("fp16")
            ways["fp16 plain"] = lambda: self.run("fp16", plain=True)
            ways["fp16 graph"] = lambda: self.run("fp16", graph=True)
        return ways


def agreement(checked: Checked, sizes: Sequence[tuple[int, int]]) -> list[list[str]]:
    """Rows of how far each way's depth is from the CPU's in fp32, over sizes and camera counts."""
    exact = Checked(checked.card, CPU).run("fp32")
    rows = []
    for name, way in checked.ways().items():
        run = way()
        for size in sizes:
            for cameras in (1, 6):
                inputs = rig_inputs(size, cameras)
                ours, theirs = run([inputs])[0][0], exact([inputs])[0][0]
                off = np.abs(ours / theirs - 1)
                allowed = HALF if name.startswith("fp16") else EXACT
                verdict = "ok" if np.median(off) <= allowed else f"more than {allowed:g}"
                wide = f"{size[0]}x{size[1]}"
                rows.append(
                    [name, wide, str(cameras), f"{np.median(off):.1e}", f"{off.max():.1e}", verdict]
                )
    return rows


def times(checked: Checked, sizes: Sequence[tuple[int, int]], seconds: float) -> list[list[str]]:
    """Rows of p50 and p95 of a set (upload, network, download) and the images a second."""
    rows = []
    for name, way in checked.ways().items():
        run = way()
        for size in sizes:
            for cameras in CAMERAS:
                inputs = rig_inputs(size, cameras)
                laps = _laps(lambda: run([inputs]), seconds)  # noqa: B023
                p50, p95 = np.percentile(laps, [50, 95]) * 1e3
                rate = cameras * len(laps) / sum(laps)
                wide = f"{size[0]}x{size[1]}"
                rows.append([name, wide, str(cameras), f"{p50:.2f}", f"{p95:.2f}", f"{rate:.0f}"])
    return rows


def _laps(work: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of each call, for that long, after two that do not count."""
    work(), work()
    laps, end = [], time.perf_counter() + seconds
    while not laps or time.perf_counter() < end:
        started = time.perf_counter()
        work()
        laps.append(time.perf_counter() - started)
    return laps


def from_jpegs(card: Path, rig: Rig, provider: str, seconds: float) -> list[list[str]]:
    """Rows of sets a second from JPEGs to depth images, one set after the other, all cores."""
    jpegs, cores = street_jpegs(rig), len(sched_getaffinity(0))
    rows = []
    for precision in ("fp32", "fp16") if provider == CUDA else ("fp32",):
        predictor = Predictor(card, providers=(provider,), precision=precision)
        fits = [predictor.fit(camera) for camera in rig.cameras]
        with ThreadPoolExecutor(cores) as threads:

            def decoded(jpeg, fit):
                return fit.image(decode_jpeg(jpeg, fit.enough)[0])

            def one_set(threads=threads, predictor=predictor, fits=fits):
                images = list(threads.map(decoded, jpegs, fits))
                DepthImages()(predictor.predict(images, fits), Laps())

            laps = _laps(one_set, seconds)
        p50, p95 = np.percentile(laps, [50, 95]) * 1e3
        rows.append(
            [precision, str(cores), f"{p50:.1f}", f"{p95:.1f}", f"{len(laps) / sum(laps):.1f}"]
        )
    return rows


PARTS = {
    "options": ["option", "asked", "session says"],
    "agreement": ["way", "size", "cameras", "median off", "largest off", "verdict"],
    "times": ["way", "size", "cameras", "p50 ms", "p95 ms", "images/s"],
    "JPEGs to depth": ["precision", "threads", "p50 ms", "p95 ms", "sets/s"],
}


def parts(arguments: argparse.Namespace) -> dict[str, Callable[[], list[list[str]]]]:
    """What is done, in order, by the names of PARTS."""
    checked = Checked(arguments.model, arguments.provider)
    model, rig = verified_file(arguments.model, ".onnx"), load_rig(arguments.rig)
    sizes = SIZES[: arguments.sizes]
    return {
        "options": lambda: options_taken(model, arguments.provider),
        "agreement": lambda: agreement(checked, sizes),
        "times": lambda: times(checked, sizes, arguments.seconds),
        "JPEGs to depth": lambda: from_jpegs(
            arguments.model, rig, arguments.provider, 5 * arguments.seconds
        ),
    }


@unless_interrupted("bench.gpu: stopped")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; a part that fails says why, and the others go on; exit code 1 then."""
    arguments = _parser().parse_args(argv)
    failed, lines = [], [machine()]
    try:
        todo = parts(arguments)
    except (ModelError, RigError, OSError) as error:
        print(f"bench.gpu: {error}", file=sys.stderr)
        return 2
    for name, part in todo.items():
        started = time.monotonic()
        try:
            lines.append(f"\n{name}\n\n{table(PARTS[name], part())}")
        except (ProviderError, ModelError, RuntimeError, OSError) as error:
            failed.append(name)
            lines.append(f"\n{name}: {' '.join(str(error).split())}")
        print(lines[-1], f"\n({time.monotonic() - started:.0f} s)", flush=True)
        write_text(arguments.out / "gpu.md", "\n".join(lines) + "\n")
    if arguments.rounds:
        failed += [] if _beside_teachers(arguments) else ["teachers"]
    if failed:
        print(f"bench.gpu: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _beside_teachers(arguments: argparse.Namespace) -> bool:
    """fsmde-bench's tables: stages, memory, shares of the card's limits, ratios to the teachers."""
    config = BenchConfig(
        arguments.model,
        teachers=tuple(arguments.teachers),
        providers=(arguments.provider,),
        rounds=arguments.rounds,
        cuda_graph=arguments.provider == CUDA,
    )
    surround = Surround(street_jpegs(load_rig(arguments.rig)), arguments.rig, DepthImages)
    try:
        results, refused = measure(config, surround)
    except (VariantError, ImportError, ValueError, OSError) as error:
        print(f"bench.gpu: teachers: {error}", file=sys.stderr)
        return False
    about = {
        "command": "python -m fsmde_core.bench.gpu",
        "machine": machine(),
        "input": f"{len(surround.jpegs)} images, {config.rounds} rounds",
        "not_measured": refused,
    }
    document = report(results, f"teacher_{(*config.teachers, 'none')[0]}", about)
    save_report(document, arguments.out)
    print(screen(document))
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fsmde_core.bench.gpu", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--model", type=Path, required=True, help="card of a student, NAME.json")
    add("--rig", type=Path, required=True, help="rig file")
    add("--provider", choices=(CUDA, CPU), default=CUDA)
    add("--sizes", type=int, default=len(SIZES), help=f"how many of {SIZES}")
    add("--seconds", type=float, default=0.5, help="of each row of times")
    add("--teachers", nargs="*", default=["vits", "vitb"], choices=["vits", "vitb", "vitl"])
    add("--rounds", type=int, default=20, help="of fsmde-bench's tables; 0: none of them")
    add("--out", type=Path, default=Path("out/gpu"), help="folder of gpu.md, bench.json, bench.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
