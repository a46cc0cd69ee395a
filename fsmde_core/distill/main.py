"""Train a student (or a teacher of ours): fsmde-distill --config config/distill/street.yaml.

Goes on where an interrupted run stopped. On several GPUs: --devices 4; on several machines start it
there with torchrun.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from fsmde_core.distill.processor import prepare_processor

prepare_processor()  # before torch is imported

from lightning_fabric import Fabric  # noqa: E402

from fsmde_core.card import ModelError  # noqa: E402
from fsmde_core.data.sample import DatasetError  # noqa: E402
from fsmde_core.distill.config import ConfigError, load_config  # noqa: E402
from fsmde_core.distill.state import CheckpointError  # noqa: E402
from fsmde_core.distill.train import Trainer, TrainingError  # noqa: E402

ERRORS = (ConfigError, DatasetError, ModelError, CheckpointError, TrainingError, OSError)


def main(argv: list[str] | None = None) -> int:
    """Command line; exit status 2 with one sentence for whatever stops the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="YAML, see config/distill")
    parser.add_argument("--out", type=Path, help="output folder; default out/CONFIG")
    parser.add_argument("--devices", type=int, default=1, help="GPUs (or CPU processes) in use")
    parser.add_argument("--nodes", type=int, default=1, help="machines, with torchrun")
    parser.add_argument("--accelerator", default="auto", help="auto, cpu or gpu")
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), help="as the config's")
    parser.add_argument("--until", type=int, help="stop at this step, to go on another time")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="losses.kd=0.5, say")
    arguments = parser.parse_intermixed_args(argv)
    overrides = list(arguments.overrides)
    if arguments.precision:
        overrides.append(f"precision={arguments.precision}")
    try:
        config = load_config(arguments.config, overrides)
        out = arguments.out or Path("out") / arguments.config.stem
        trainer = Trainer(config, out, _fabric(arguments))
        if trainer.resumed and trainer.fabric.is_global_zero:
            print(f"goes on at step {trainer.state.step} of {out}")
            before, now = trainer.samples_before, trainer.state.samples
            if before not in (0, now):
                print(f"with {now} samples instead of {before}, in another order")
        for number in (signal.SIGINT, signal.SIGTERM):  # the step is finished and saved
            signal.signal(number, lambda *_: setattr(trainer, "interrupted", True))
        trainer.run(until=arguments.until)
        if trainer.interrupted:
            print(
                f"stopped at step {trainer.state.step}; the same command goes on", file=sys.stderr
            )
            return 130
    except ERRORS as error:
        print(f"fsmde-distill: {sentence(error)}", file=sys.stderr)
        return 2
    return 0


def sentence(error: Exception) -> str:
    """What was said where it went wrong; a process that reads data adds a traceback around it."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    lines = str(error).strip().split("\n")
    return lines[0] if len(lines) == 1 else lines[-1].split("Error: ", 1)[-1]


def _fabric(arguments: argparse.Namespace) -> Fabric:
    fabric = Fabric(
        accelerator=arguments.accelerator,
        devices=arguments.devices,
        num_nodes=arguments.nodes,
        precision="32-true",  # of the inputs; for the rest see network_precision
    )
    fabric.launch()
    return fabric


if __name__ == "__main__":
    sys.exit(main())
