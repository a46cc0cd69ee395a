"""The training loop: one for a CPU, a GPU, and many of them, through Lightning Fabric."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from fsmde_core.card import add_file, load_card, save_card
from fsmde_core.data.batch import RigBatch
from fsmde_core.data.sample import DatasetError
from fsmde_core.distill.blend import blended
from fsmde_core.distill.cached_teacher import CachedTeacher
from fsmde_core.distill.config import DistillConfig
from fsmde_core.distill.faulty import PassedOver
from fsmde_core.distill.origin import licence_of, made_from
from fsmde_core.distill.state import (
    CHECKPOINT,
    another_mean,
    new_state,
    restore,
    save_state,
)
from fsmde_core.distill.step import (
    DistillStep,
    depthwise_in_float32,
    freeze_norms,
    network_precision,
    precision_on,
)
from fsmde_core.distill.stream import (
    SampleStream,
    ValidationSamples,
    open_split,
    split_of,
    training_batches,
)
from fsmde_core.distill.validate import validate
from fsmde_core.files import writable_folder
from fsmde_core.interrupt import Interrupt
from fsmde_core.network.checkpoint import load_student, save_student
from fsmde_core.network.teacher import load_teacher
from fsmde_core.runtime.export import export_onnx


class TrainingError(RuntimeError):
    """A run that cannot go on; the message names the step."""


class Trainer:
    """A run: what it learns from, what it changes, and where it reports."""

    def __init__(self, config: DistillConfig, out: Path, fabric: Fabric, interrupt: Interrupt):
        config = replace(config, precision=precision_on(fabric.device, config.precision))
        self.config, self.out, self.fabric, self.interrupt = config, out, fabric, interrupt
        self.made_from = made_from(config)
        self.teacher = None
        if config.losses.needs_teacher and config.teacher_cache:
            sources = [CachedTeacher(config, data) for data in config.sources]
        else:
            sources = [open_split(data, train=True) for data in config.sources]
            if config.losses.needs_teacher:
                self.teacher = load_teacher(
                    config.teacher, anchor=config.initial, foundation=config.foundation
                ).to(fabric.device)
        self.samples, self.also = [*sources, ()][:2]
        self.opened = [s.samples if isinstance(s, CachedTeacher) else s for s in sources]
        self.splits = [split_of(d, s, train=True) for d, s in zip(config.sources, self.opened)]
        self.validation = self._validation()
        writable_folder(out)
        self.state = new_state(config, fabric.device)
        notice = another_mean(config) if fabric.is_global_zero else None
        if notice:
            print(notice, file=sys.stderr)
        if config.foundation.checkpoint:  # a run goes on with the file that it began with
            self.config = config = replace(config, foundation=self.state.student.foundation)
        self.licence = licence_of(config)
        self.resumed = restore(self.state, config, out, made_from=self.made_from)
        self.saved_step = self.state.step
        self.samples_before, self.state.samples = self.state.samples, len(self.samples)
        if fabric.device.type == "cpu" and config.precision == "bf16-mixed":
            depthwise_in_float32(self.state.student)  # the average, a copy, stays as it is
        step = DistillStep(self.state.student, config.losses, config.student)
        self.step, self.optimizer = fabric.setup(step, self.state.optimizer)

    def _validation(self) -> ValidationSamples | None:
        """What is validated on; None where nothing was named and there is nothing by default."""
        data = self.config.data
        if data.kind == "drive" or (data.kind == "street" and not data.val):
            return None
        try:
            return ValidationSamples(open_split(data, train=False), self.config)
        except DatasetError as error:
            if data.val or data.val_split:
                raise
            if self.fabric.is_global_zero:
                print(f"no validation: {error}", file=sys.stderr)
            return None

    def run(self, *, until: int | None = None) -> None:
        """Train to the end, to step `until`, or until interrupted; then write the model.

        TrainingError at a loss or gradient that is not finite; the checkpoint before it stays.
        KeyboardInterrupt if interrupted while validating or exporting; the step before is saved.
        """
        config, state = self.config, self.state
        last = min(config.steps, until or config.steps)
        batches = training_batches(
            SampleStream(self.samples, config, also=self.also), config, first_step=state.step,
            rank=self.fabric.global_rank, processes=self.fabric.world_size, ended=self._leaves,
        )  # fmt: skip
        freeze_norms(state.student, config.frozen_norm)
        with closing(Report(self)) as report:
            with closing(batches):
                self._steps(batches, last, report)
            self.save()
            if state.step == config.steps:
                self.write_model(report)

    def _steps(self, batches: Iterable[list[RigBatch]], last: int, report: Report) -> None:
        """Steps up to `last`, with validations and checkpoints between them."""
        config, state = self.config, self.state
        saved = begun = time.monotonic()
        before = state.seconds
        for groups in batches:
            if state.step >= last or self._any_interrupted():
                break
            losses = self.train_step(groups)
            state.seconds = before + time.monotonic() - begun
            report.losses(losses)
            if state.step % config.validate_steps == 0 and state.step < config.steps:
                self.save()
                self.write_model(report)
            if time.monotonic() - saved > 60 * config.checkpoint_minutes:
                saved = time.monotonic()
                self.save()

    def train_step(self, groups: list[RigBatch]) -> dict[str, float]:
        """One optimizer step on the rigs of this process, grouped by their number of cameras."""
        config, state = self.config, self.state
        rigs, sums = sum(len(batch.images) for batch in groups), {}
        for i, batch in enumerate(groups):
            share = len(batch.images) / rigs
            with self.fabric.no_backward_sync(self.step, enabled=i < len(groups) - 1):
                losses = self.losses_of(batch)
                self.fabric.backward(share * losses["total"])
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + share * loss.item()
        norm = self.fabric.clip_gradients(
            self.step, self.optimizer, max_norm=config.gradient_norm, error_if_nonfinite=False
        )
        self._check_finite({**sums, "gradient": norm.item()})
        self.optimizer.step()
        self.optimizer.zero_grad()
        state.schedule.step()
        state.step += 1
        state.moving.update(state.student, state.step + 1)  # timm counts from 1, and copies then
        return {**sums, "gradient": norm.item()}

    def losses_of(self, batch: RigBatch) -> dict[str, torch.Tensor]:
        """The step's losses on one batch, the teacher asked where there is one."""
        device = self.fabric.device
        tensors = {name: t.to(device, non_blocking=True) for name, t in batch.arrays.items()}
        if self.teacher is not None:
            seen = tensors.get("plain", tensors["images"])  # no teacher gains by odd colours
            views = (seen, tensors["K"], tensors["T_ego_cam"])
            with torch.no_grad(), network_precision(self.config.precision, device):
                output = self.teacher(*views)
            tensors["teacher_logits"] = output.bin_logits
            tensors["teacher_centers"] = output.bin_centers
            if output.surface_logits is not None:
                tensors["teacher_surface"] = output.surface_logits
        with network_precision(self.config.precision, device):
            return self.step(**tensors)

    def _any_interrupted(self) -> bool:
        if self.fabric.world_size == 1:
            return bool(self.interrupt)
        flag = torch.tensor(float(bool(self.interrupt)), device=self.fabric.device)
        return bool(self.fabric.all_reduce(flag, reduce_op="max"))

    def _leaves(self) -> bool:
        """Whether to leave now; one of several processes leaves with the others, after a step."""
        return self.fabric.world_size == 1 and bool(self.interrupt)

    def _leavable(self) -> AbstractContextManager:
        """What an interrupt breaks off; one of several processes goes on, as the others wait."""
        return self.interrupt.at_once() if self.fabric.world_size == 1 else nullcontext()

    def _check_finite(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            if not math.isfinite(value):
                kept = self.out / CHECKPOINT
                where = f"{kept} holds the last good step" if kept.exists() else "nothing is saved"
                raise TrainingError(f"{name} is {value} at step {self.state.step + 1}; {where}")

    def save(self) -> None:
        """Write the checkpoint, from one process; the others, whose clocks differ, do not wait."""
        if self.fabric.is_global_zero:
            save_state(self.state, self.config, self.out, made_from=self.made_from)
        self.saved_step = self.state.step

    def write_model(self, report: Report) -> None:
        """Validate the averaged weights and write them with their card; ONNX at the end.

        The card is provisional until all of the last step is written.
        """
        if self.fabric.is_global_zero:
            with self._leavable():
                student = self._student()
                card = self._write_weights(student, report)
                if self.state.step == self.config.steps:
                    self._finish(student, card)
        self.fabric.barrier()

    def _student(self) -> nn.Module:
        """The averaged weights, with start_share of those that were begun with."""
        config, average = self.config, self.state.average
        if not config.start_share:
            return average
        start = load_student(config.initial).to(self.fabric.device)
        return blended(start, copy.deepcopy(average), 1 - config.start_share)

    def _write_weights(self, student: nn.Module, report: Report) -> Path:
        config, metrics = self.config, {}
        if self.validation is not None:
            result = validate(student, self.validation, config)
            report.validation(result)
            metrics = {self._validation_title(): result.metrics}
        card = self.out / f"{config.name}.json"
        save_student(
            student,
            card,
            config=config.student,
            provisional=True,
            licence=self.licence,
            description=self._description(),
            foundation=asdict(config.foundation) if config.foundation.checkpoint else None,
            made_from=self.made_from,
            metrics=metrics,
        )
        return card

    def _finish(self, student: nn.Module, card: Path) -> None:
        if not self.config.foundation.checkpoint:
            with tqdm.external_write_mode():  # not at the end of the bar's line
                print(f"writes {card.with_suffix('.onnx')}, which takes a minute", flush=True)
            export_onnx(student.cpu(), self.config.student, card.with_suffix(".onnx"))
            add_file(card, card.with_suffix(".onnx"))
        save_card(replace(load_card(card), provisional=False), card)

    def _validation_title(self) -> str:
        config = self.config
        scale = "rig's median scale" if config.losses.scale_invariant else "metric"
        return (
            f"fsmde-distill: {len(self.validation)} samples of {self.validation.split}, "
            f"to {config.val_depth_m:g} m, {scale}"
        )

    def _description(self) -> str:
        config, state = self.config, self.state
        values = {f.name: getattr(config.losses, f.name) for f in fields(config.losses)}
        weights = {n: v for n, v in values.items() if isinstance(v, float) and n != "temperature"}
        losses = ", ".join(f"{n} {w:g}" for n, w in weights.items() if w)
        if config.losses.needs_teacher:
            losses += f", teacher {Path(config.teacher).stem}"
        kept = f", {config.start_share:g} of the first weights kept" if config.start_share else ""
        samples = f"{len(self.samples)} samples of {self.splits[0]}"
        if self.also:
            share = f"1 in {config.also_every} of {len(self.also)}"
            without = " without depth" if config.also.truth == "none" else ""
            samples += f" ({share} of {self.splits[1]}{without})"
        faulty = sum(s.faulty for s in self.opened if isinstance(s, PassedOver))
        if faulty:
            samples += f" ({faulty} that did not read were passed over)"
        return (
            f"fsmde-distill: {state.step} of {config.steps} steps of {config.rigs_per_step} rigs, "
            f"{samples}, losses {losses}{kept}, seed {config.seed}, "
            f"{state.seconds / 3600:.2f} h in {config.precision} on {_machine(self.fabric)}."
        )


def _machine(fabric: Fabric) -> str:
    if fabric.device.type == "cuda":
        return f"{fabric.world_size} x {torch.cuda.get_device_name(fabric.device)}"
    return f"{fabric.world_size} x {torch.get_num_threads()} CPU threads"


class Report:
    """Progress bar and TensorBoard curves, from the first process only."""

    def __init__(self, trainer: Trainer):
        config, state = trainer.config, trainer.state
        self.state, self.every = state, config.log_steps
        self.quiet = not trainer.fabric.is_global_zero
        self.bar = tqdm(
            total=config.steps, initial=state.step, unit="step", desc=config.name,
            disable=self.quiet,
        )  # fmt: skip
        self.recent: list[dict[str, float]] = []
        self.writer = None
        if not self.quiet:
            self.writer = SummaryWriter(str(trainer.out / "tensorboard"), purge_step=state.step)

    def losses(self, losses: dict[str, float]) -> None:
        """Note a step; every log_steps the means go to bar and curves."""
        self.bar.update()
        self.recent.append(losses)
        if self.quiet or len(self.recent) < self.every:
            return
        means = {n: sum(r[n] for r in self.recent) / len(self.recent) for n in losses}
        self.recent.clear()
        for name, value in means.items():
            self.writer.add_scalar(f"train/{name}", value, self.state.step)
        rate = self.state.schedule.get_last_lr()[-1]
        self.writer.add_scalar("train/learning_rate", rate, self.state.step)
        self.bar.set_postfix({n: f"{v:.3f}" for n, v in means.items() if v})

    def validation(self, result) -> None:
        """Numbers and picture of a validation."""
        for name, value in result.metrics.items():
            self.writer.add_scalar(f"val/{name}", value, self.state.step)
        if result.panel is not None:
            self.writer.add_image("val/images", result.panel, self.state.step, dataformats="HWC")
        shown = [n for n in ("abs_rel", "delta_1", "surface") if n in result.metrics]
        shown = ", ".join(f"{n} {result.metrics[n]:.4f}" for n in shown)
        self.bar.write(f"step {self.state.step}: {shown}")

    def close(self) -> None:
        """Flush the curves."""
        self.bar.close()
        if self.writer is not None:
            self.writer.close()
