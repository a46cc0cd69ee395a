"""Everything that changes while training, and how it comes back from disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fsmde_core.card import ModelError, load_card
from fsmde_core.distill.config import ConfigError, DistillConfig
from fsmde_core.distill.rebin import carry_over, head_with_bins
from fsmde_core.files import write_bytes
from fsmde_core.network.checkpoint import (
    load_weights,
    restore_weights,
    student_config,
    trained_weights,
)
from fsmde_core.network.encoder import import_timm, load_imagenet_weights
from fsmde_core.network.foreign_weights import read_document
from fsmde_core.network.student import StudentDepthNet
from fsmde_core.network.teacher import FoundationTeacher

import_timm()  # also beside a torchvision of another torch; then its parts import

from timm.optim import param_groups_weight_decay  # noqa: E402
from timm.utils import ModelEmaV3  # noqa: E402

# What does not change the weights, be it how often something is written, or where files lie
REPORTING = ("checkpoint_minutes", "validate_steps", "val_samples", "val_depth_m", "log_steps")
REPORTING += ("name", "licence", "val_split")
PLACES = ("train", "val", "masks", "initial", "teacher", "teacher_cache", "checkpoint")
FREE_TO_CHANGE = (*REPORTING, *PLACES, "workers", "timeout_s", "skip_faulty")
CHECKPOINT = "last.pt"
LAST_LAYERS = ("head.logits.", "surface.")
BINS = ("n_bins", "min_depth_m", "max_depth_m")  # of StudentConfig
AVERAGE_STEPS = 9.0  # timm's warm-up of the decay, 1 - 9 / (9 + step): it starts at 0.1


class CheckpointError(ValueError):
    """A training checkpoint that cannot be used; the message names the file."""


@dataclass
class TrainState:
    """A run in progress."""

    student: nn.Module
    """StudentDepthNet, or FoundationTeacher whose backbone stays as it is."""
    moving: ModelEmaV3
    """Moving average of the student's weights and of its norms' statistics."""
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.OneCycleLR
    step: int = 0
    """Steps done."""
    seconds: float = 0.0
    """Wall-clock time of these steps, over all sessions."""
    samples: int = 0
    """Training samples there were, as their number decides the order."""
    moved: tuple[str, ...] = ()
    """What restore found elsewhere than the checkpoint's run did, in words."""

    @property
    def average(self) -> nn.Module:
        """The student with averaged weights; what is validated and exported."""
        return self.moving.module


def new_state(config: DistillConfig, device: torch.device) -> TrainState:
    """A student, or a foundation model's head, with initial weights and what trains it.

    ModelError or ConfigError if `initial` names no model of this shape.
    """
    torch.manual_seed(config.seed)
    if config.foundation.checkpoint:
        student = FoundationTeacher(config.foundation, config.student)
    else:
        student = StudentDepthNet(config.student)
        load_imagenet_weights(student.encoder, config.student.encoder)
        # what no loss reaches stays: several processes would wait for its gradient
        student.surface.requires_grad_(config.losses.surface > 0)
    if config.initial:
        _load_initial(student, config)
    student = student.to(device, memory_format=torch.channels_last)
    groups = _parameter_groups(student, config)
    optimizer = torch.optim.AdamW(groups)
    rates = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rates, total_steps=config.steps, pct_start=config.warm_up_share
    )
    return TrainState(student, moving_average(student, config.average_decay), optimizer, schedule)


def moving_average(student: nn.Module, decay: float) -> ModelEmaV3:
    """timm's average of a student's weights; a frozen `backbone` is the student's own.

    The decay grows from 0.1 over the first steps, so that the initial weights are soon forgotten.
    """
    moving = ModelEmaV3(
        student, decay, use_warmup=True, warmup_gamma=AVERAGE_STEPS, warmup_power=1.0
    )
    moving.module.requires_grad_(False)
    if hasattr(student, "backbone"):
        moving.module.backbone = student.backbone
    return moving


def _parameter_groups(student: nn.Module, config: DistillConfig) -> list[dict]:
    """What is trained, by its peak learning rate and weight decay; the decoder's weights last.

    Which decay and which do not is timm's rule: norms and biases do not.
    """
    shares = {id(p): _rate_share(name, config) for name, p in student.named_parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in param_groups_weight_decay(student, config.weight_decay):
        for parameter in group["params"]:
            key = shares[id(parameter)], group["weight_decay"]
            groups.setdefault(key, []).append(parameter)
    return [
        {"params": groups[key], "lr": config.learning_rate * key[0], "weight_decay": key[1]}
        for key in sorted(groups, key=lambda key: (key[0] == 1.0, key))
    ]


def _rate_share(name: str, config: DistillConfig) -> float:
    """Of a parameter, the share of the learning rate."""
    if name.startswith("encoder."):
        return config.encoder_rate_share
    return config.last_rate_share if name.startswith(LAST_LAYERS) else 1.0


def _load_initial(student: nn.Module, config: DistillConfig) -> None:
    """Weights of `initial`, also of one whose bins lie elsewhere; its own bins are then let go."""
    theirs = student_config(load_card(config.initial))
    free = ("input_width", "input_height", "reach_m", "depth_mean", *BINS)
    shape = asdict(theirs)
    different = [k for k, v in asdict(config.student).items() if shape[k] != v and k not in free]
    if different:
        raise ConfigError(f"initial {config.initial} has another student.{different[0]}")
    bins = {key: getattr(theirs, key) for key in BINS}
    if all(getattr(config.student, key) == value for key, value in bins.items()):
        load_weights(student, config.initial)
        return
    ours, student.head = student.head, head_with_bins(student.head, **bins)
    load_weights(student, config.initial)
    carry_over(student.head, ours)
    student.head = ours


def another_mean(config: DistillConfig) -> str | None:
    """A sentence where `initial` reads depth from its bins in another way than this run does."""
    if not config.initial or config.foundation.checkpoint:
        return None
    theirs = student_config(load_card(config.initial)).depth_mean
    ours = config.student.depth_mean
    if theirs == ours:
        return None
    return (
        f"initial {config.initial} reads depth as the {theirs} mean of its bins, this run as the "
        f"{ours} (student.depth_mean)"
    )


def save_state(state: TrainState, config: DistillConfig, folder: Path, *, made_from: dict) -> None:
    """Write the checkpoint; it replaces the one before only when it is whole."""
    document = {
        "config": json.dumps(asdict(config)),
        "made_from": json.dumps(made_from),
        "step": state.step,
        "seconds": state.seconds,
        "samples": state.samples,
        "student": trained_weights(state.student),
        "average": trained_weights(state.average),
        "optimizer": state.optimizer.state_dict(),
        "schedule": state.schedule.state_dict(),
    }
    data = BytesIO()
    torch.save(document, data)  # into a file it would say nothing of why it could not
    write_bytes(folder / CHECKPOINT, data.getbuffer())


def _different(theirs: dict, ours: dict, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Paths of the keys whose values differ, with both; keys that only one side knows may."""
    for key in [key for key in ours if key in theirs]:
        if isinstance(ours[key], dict):
            yield from _different(theirs[key], ours[key], f"{where}{key}.")
        elif theirs[key] != ours[key]:
            yield where + key, theirs[key], ours[key]


def _compare(theirs: dict, ours: dict, path: Path) -> tuple[str, ...]:
    """What moved since, in words; CheckpointError for what makes it another run."""
    moved = []
    for key, old, new in _different(theirs, ours):
        last = key.rpartition(".")[2]
        if (key, new) == ("precision", "auto"):
            continue  # the trainer, which knows the device, says which it is
        if last not in FREE_TO_CHANGE:
            raise CheckpointError(
                f"checkpoint {path} is of a run with another {key} ({old!r}, now {new!r}); "
                "choose another --out"
            )
        if last in PLACES:
            moved.append(f"{key} was {old or 'empty'}, is now {new or 'empty'}")
    return tuple(moved)


def read_checkpoint(
    config: DistillConfig, folder: Path, *, made_from: dict
) -> tuple[dict, tuple[str, ...]] | None:
    """The checkpoint of a folder, and what moved since, in words; None if there is none.

    What changes the result must be as it was: the config but for places of files and what is
    reported when, and the weights that the run is made from. CheckpointError else, and for a file
    that does not read.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    with _delete_if_broken(path):
        document = read_document(path)
        theirs = json.loads(document["config"])
        theirs["made from"] = json.loads(document.get("made_from", "{}"))
        ours = json.loads(json.dumps({**asdict(config), "made from": made_from}))
        return document, _compare(theirs, ours, path)


@contextmanager
def _delete_if_broken(path: Path) -> Iterator[None]:
    """CheckpointError for a file that is not as save_state wrote it, whatever that leads to."""
    try:
        yield
    except CheckpointError:
        raise
    except ModelError as error:
        raise CheckpointError(f"{error}; delete it to start anew") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"checkpoint {path} is none of this version ({type(error).__name__}: {reason}); delete "
            "it to start anew"
        ) from error


def restore(state: TrainState, config: DistillConfig, folder: Path, *, made_from: dict) -> bool:
    """Go on where the folder's checkpoint stopped; False if there is none.

    CheckpointError as read_checkpoint.
    """
    found = read_checkpoint(config, folder, made_from=made_from)
    if found is None:
        return False
    document, state.moved = found
    with _delete_if_broken(folder / CHECKPOINT):
        restore_weights(state.student, document["student"])
        restore_weights(state.average, document["average"])
        try:
            state.optimizer.load_state_dict(document["optimizer"])
        except ValueError as error:
            raise CheckpointError(
                f"checkpoint {folder / CHECKPOINT} is of a version that trained other groups of "
                f"weights ({error}); choose another --out"
            ) from error
        state.schedule.load_state_dict(document["schedule"])
        state.step, state.seconds = document["step"], document["seconds"]
        state.samples = document.get("samples", 0)
        if not 0 <= state.step <= config.steps:
            raise ValueError(f"its step is {state.step} of {config.steps}")
    return True
