"""fsmde-bench: students against teachers on every provider, stage by stage, in one run.

Each variant waits in a process of its own. Every round runs each of them once, one after the other,
so that whatever else the machine does disturbs all alike: trust the ratios.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fsmde_core.bench.plan import BenchConfig, plan, working_providers
from fsmde_core.bench.report import Measured, report, save_report, screen
from fsmde_core.bench.variant import FollowUp, Surround, Variant
from fsmde_core.bench.worker import VariantError, Worker
from fsmde_core.extras import absent
from fsmde_core.interrupt import unless_interrupted
from fsmde_core.rig import Rig, load_rig

JPEG_QUALITY = 90  # as nuScenes' files: about 1.2 bits a pixel on these images


@unless_interrupted("fsmde-bench: stopped, nothing is written")
def main(
    argv: Sequence[str] | None = None,
    *,
    model: Path,
    rig_file: Path,
    make_follow_up: Callable[[], FollowUp],
) -> int:
    """Command line with the defaults of its caller; exit code 2 with one sentence."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = _parser(model, rig_file).parse_args(argv)
    config = BenchConfig(
        model=arguments.model,
        larger=arguments.larger,
        teachers=tuple(arguments.teachers),
        size=arguments.size,
        rounds=arguments.rounds,
        threads=arguments.threads,
        cuda_graph=arguments.cuda_graph,
        providers=tuple(arguments.providers),
    )
    try:
        rig = load_rig(arguments.rig)
        surround = Surround(street_jpegs(rig), arguments.rig, make_follow_up)
        results, refused = measure(config, surround)
        if not results:
            raise VariantError("; ".join(refused))
    except (ValueError, VariantError, OSError, ImportError) as error:
        reason = absent(error) if isinstance(error, ImportError) else error
        print(f"fsmde-bench: {reason}", file=sys.stderr)
        return 2
    about = {
        "command": shlex.join(["fsmde-bench", *argv]),
        "machine": machine(),
        "input": f"{len(surround.jpegs)} images {rig.cameras[0].width}x{rig.cameras[0].height}, "
        f"{config.rounds} rounds",
        "not_measured": refused,
    }
    document = report(results, f"teacher_{(*config.teachers, 'none')[0]}", about)
    save_report(document, arguments.out)
    print(screen(document))
    print(f"\n{arguments.out}/bench.json and bench.md")
    return 0


def _parser(model: Path, rig_file: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fsmde-bench", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", type=Path, default=model, help="card of student s")
    add("--larger", type=Path, help="card of student m; without one its weights are random")
    add("--teachers", nargs="*", default=["vits"], choices=["vits", "vitb", "vitl"])
    providers = BenchConfig.providers
    add("--providers", nargs="+", choices=providers, default=providers, help="as far as they work")
    add("--size", type=_size, help="WIDTHxHEIGHT of the networks' input, default: the card's")
    add("--rounds", type=int, default=BenchConfig.rounds)
    add("--threads", type=int, default=BenchConfig.threads, help="0: one for each core")
    add("--cuda-graph", action="store_true", help="also students as recorded graphs")
    add("--rig", type=Path, default=rig_file, help="rig file: how many images of which size")
    add("--out", type=Path, default=Path("out/bench"), help="folder of bench.json and bench.md")
    return parser


def _size(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def measure(config: BenchConfig, surround: Surround) -> tuple[list[Measured], list[str]]:
    """All runs of all variants, and the reasons against those that do not run here."""
    with tempfile.TemporaryDirectory(prefix="fsmde-bench-") as folder:
        working, missing = working_providers(config.providers, Path(folder))
        config = replace(config, providers=tuple(working))
        variants = plan(config, len(surround.jpegs), Path(folder), say=tqdm.write)
        workers, refused = _start(variants, surround)
        results = [Measured(worker.variant) for worker in workers]
        with tqdm(total=config.rounds * len(workers), unit="run", desc="measuring") as progress:
            for _ in range(config.rounds):
                for worker, result in zip(workers, results):
                    result.laps.append(worker.run())
                    progress.update()
        for worker, result in zip(workers, results):
            result.memory = worker.close()
    return results, missing + refused


def _start(variants: Sequence[Variant], surround: Surround) -> tuple[list[Worker], list[str]]:
    workers, refused = [], []
    for variant in tqdm(variants, unit="variant", desc="starting"):
        try:
            workers.append(Worker(variant, surround))
        except VariantError as error:
            refused.append(f"not measured: {error}")
    return workers, refused


def street_jpegs(rig: Rig) -> tuple[np.ndarray, ...]:
    """An encoded image for each camera, whose decoding costs what that of photographs does.

    Noise of every scale from 2 to 256 pixels, as strong at each: natural images are like that.
    """
    rng = np.random.default_rng(0)
    jpegs = []
    for camera in rig.cameras:
        size = camera.width, camera.height
        image = np.full((camera.height, camera.width, 3), 128, np.float32)
        for scale in (2, 4, 8, 16, 32, 64, 128, 256):
            coarse = (camera.height // scale + 1, camera.width // scale + 1, 3)
            noise = rng.normal(scale=6 + scale / 16, size=coarse).astype(np.float32)
            image += cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
        pixels = image.clip(0, 255).astype(np.uint8)
        jpegs.append(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])
    return tuple(jpegs)


def machine() -> str:
    """Processor, cores, system and runtime, in words."""
    names = [
        line.split(":", 1)[1].strip()
        for line in _read("/proc/cpuinfo").splitlines()
        if line.startswith("model name")
    ]
    runtime = [
        f"{name} {metadata.version(name)}"
        for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
        if _installed(name)
    ]
    processor = f"{len(names) or '?'} x {names[0] if names else platform.machine()}"
    return ", ".join([processor, *gpus(), platform.system(), *runtime])


def gpus() -> list[str]:
    """Names of the NVIDIA GPUs, as their driver's tool gives them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True).stdout.split("\n")[:-1]


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False
