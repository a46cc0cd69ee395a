"""Train a student (or a teacher of ours): fsmde-distill --config config/distill/street.yaml.

Goes on where an interrupted run stopped. On several GPUs: --devices 4; on several machines start it
there with torchrun.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fsmde_core.distill.processor import prepare_processor
from fsmde_core.extras import absent, needed_by

prepare_processor()  # before torch is imported

with needed_by("fsmde-distill", __file__):
    import torch
    from lightning_fabric import Fabric

    from fsmde_core.arguments import positive
    from fsmde_core.card import ModelError
    from fsmde_core.data.sample import DatasetError
    from fsmde_core.distill.config import ConfigError, DistillConfig, load_config
    from fsmde_core.distill.state import CheckpointError
    from fsmde_core.distill.stream import LoaderError
    from fsmde_core.distill.train import Trainer, TrainingError
    from fsmde_core.files import reason
    from fsmde_core.interrupt import Interrupt

ERRORS = (
    ConfigError, DatasetError, ModelError, CheckpointError, TrainingError, LoaderError, OSError,
    ImportError,
)  # fmt: skip


def main(argv: list[str] | None = None, *, program: str = "fsmde-distill") -> int:
    """Command line; exit status 2 with one sentence, by `program`, for whatever stops the run.

    130 after Ctrl-C and 143 after SIGTERM: the checkpoint is written, the same command goes on.
    """
    arguments = _parser().parse_intermixed_args(argv)
    overrides = list(arguments.overrides)
    if arguments.precision:
        overrides.append(f"precision={arguments.precision}")
    try:
        config = load_config(arguments.config, overrides)
        out = arguments.out or Path("out") / arguments.config.stem
        with Interrupt() as interrupt:
            return _train(config, out, arguments, interrupt)
    except ERRORS as error:
        print(f"{program}: {sentence(error)}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--config", type=Path, required=True, help="YAML, see config/distill")
    add("--out", type=Path, help="output folder; default out/CONFIG")
    add("--devices", type=positive, default=1, help="GPUs (or CPU processes) in use")
    add("--nodes", type=positive, default=1, help="machines, with torchrun")
    add("--accelerator", choices=("auto", "cpu", "gpu"), default="auto")
    add("--precision", choices=("auto", "32-true", "bf16-mixed"), help="as the config's")
    add("--until", type=positive, help="stop at this step, to go on another time")
    add("overrides", nargs="*", metavar="KEY=VALUE", help="losses.kd=0.5, say")
    return parser


def _train(
    config: DistillConfig, out: Path, arguments: argparse.Namespace, interrupt: Interrupt
) -> int:
    trainer = None
    try:
        with interrupt.at_once():
            trainer = Trainer(config, out, _fabric(arguments, config), interrupt)
        if trainer.resumed and trainer.fabric.is_global_zero:
            _say_how_it_goes_on(trainer)
        trainer.run(until=arguments.until)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise TrainingError(_what_took_the_memory(trainer, config)) from error
    except KeyboardInterrupt:
        _say_where_it_stopped(trainer, config)
        return interrupt.exit_code
    if interrupt and trainer.saved_step < config.steps:
        _say_where_it_stopped(trainer, config)
        return interrupt.exit_code
    return 0


def _is_out_of_memory(error: Exception) -> bool:
    """Whether a GPU, or the system, had no more: torch says so of a CPU in words alone."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or "can't allocate memory" in str(error) or "not enough memory" in str(error)


def _what_took_the_memory(trainer: Trainer | None, config: DistillConfig) -> str:
    size = f"{config.student.input_width}x{config.student.input_height}"
    most = f"augment.pixels up to {config.augment.pixels[1]:g} times {size}"
    saved = trainer.saved_step if trainer else 0
    return (
        f"out of memory with rigs_per_step {config.rigs_per_step} and {most}: lower them; "
        f"step {saved} of {config.steps} is saved"
    )


def _say_how_it_goes_on(trainer: Trainer) -> None:
    print(f"goes on at step {trainer.state.step} of {trainer.out}")
    for moved in trainer.state.moved:
        print(moved)
    before, now = trainer.samples_before, trainer.state.samples
    if before not in (0, now):
        print(f"with {now} samples instead of {before}, in another order")


def _say_where_it_stopped(trainer: Trainer | None, config: DistillConfig) -> None:
    if trainer is None:
        print("stopped before the first step", file=sys.stderr)
    elif trainer.fabric.is_global_zero:
        step, what = trainer.saved_step, "the same command goes on"
        if step == config.steps:
            what = "the model is not written whole: the same command writes it"
        print(f"stopped; step {step} of {config.steps} is saved, {what}", file=sys.stderr)


def sentence(error: Exception) -> str:
    """What was said where it went wrong; a process that reads data adds a traceback around it."""
    if isinstance(error, ImportError):
        return absent(error)
    if isinstance(error, OSError):
        return reason(error)
    lines = str(error).strip().split("\n")
    return lines[0] if len(lines) == 1 else lines[-1].split("Error: ", 1)[-1]


def _fabric(arguments: argparse.Namespace, config: DistillConfig) -> Fabric:
    """Processes as many as asked for; ConfigError where there are no such devices."""
    asked = f"--accelerator {arguments.accelerator} --devices {arguments.devices}"
    processes = arguments.devices * arguments.nodes
    if config.rigs_per_step % processes:  # said once, before the processes start
        raise ConfigError(
            f"rigs_per_step {config.rigs_per_step} does not split over {processes} processes"
        )
    try:
        fabric = Fabric(
            accelerator=arguments.accelerator,
            devices=arguments.devices,
            num_nodes=arguments.nodes,
            precision="32-true",  # of the inputs; for the rest see network_precision
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{asked}: this machine has no such devices ({reason})") from error
    fabric.launch()
    return fabric


if __name__ == "__main__":
    sys.exit(main())
