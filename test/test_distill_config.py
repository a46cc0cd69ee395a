"""What stands in a config, and what it says of a mistake."""

import re

import pytest
from conftest import ROOT

from fsmde_core.distill.config import (
    ConfigError,
    DistillConfig,
    LossConfig,
    load_config,
)


def test_methods_are_the_rows_of_the_ablation(config_file):
    path = config_file(teacher="t.json", method="ckd_vrkd")
    assert load_config(path).losses == LossConfig(kd=0.25, cross=1.0, relative=5.0, vrkd=10.0)
    assert load_config(path, ["losses.vrkd=5"]).losses.vrkd == 5
    assert load_config(path, ["method=kd"]).losses == LossConfig(kd=0.25)
    assert not load_config(path, ["method=supervised"]).losses.needs_teacher


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "distill").glob("*.yaml")), ids=str)
def test_shipped_configs_hold(path):
    config = load_config(path, ["data.train=/data/nuscenes"])
    assert config.data.kind in path.stem or config.data.kind in ("street", "drive")


def test_defaults_presets_and_overrides(config_file):
    path = config_file(preset="m", losses={"silog": 2})
    config = load_config(path, ["losses.kd=0.5", "teacher=models/t.json", "data.size=[320, 192]"])
    assert config.student.encoder == "tf_efficientnet_lite2" and config.student.n_bins == 8
    assert config.losses == LossConfig(silog=2.0, kd=0.5)
    assert config.data.size == (320, 192) and config.learning_rate == DistillConfig.learning_rate


@pytest.mark.parametrize(
    "override, message",
    [
        ("losses.vrdk=1", "unknown key 'losses.vrdk'; known: silog, log_l1, abs_rel"),
        ("stepz=1", "unknown key 'stepz'"),
        ("steps=many", "steps is 'many': should be a valid integer"),
        (
            "data.kind=kitti",
            "data.kind is 'kitti': should be 'street', 'nuscenes', 'ddad' or 'drive'",
        ),
        ("data.size=[1]", "data.size[1] is [1]: field required"),
        ("data.size=[0, 5]", "data.size[0] is 0: should be greater than 0"),
        ("data.size=5", "data.size is 5: should be a valid tuple"),
        ("data.workers=-1", "data.workers is -1: should be greater than or equal to 0"),
        ("data.past_sweeps=-1", "data.past_sweeps is -1: should be greater than or equal to 0"),
        ("data.timeout_s=0", "data.timeout_s is 0: should be greater than 0"),
        ("data=street", "data is 'street', not a mapping"),
        ("preset=xl", "preset is 'xl', not one of s, m"),
        ("preset=[s]", "preset is ['s'], not one of s, m"),
        ("name=a/b", "name is 'a/b': string should match pattern"),
        ("data={kind: ddad, train: [a, b]}", "data.train is a list, but only data.kind street"),
        ("data.train=[1]", "data.train"),
        ("also_every=0", "also_every is 0: should be greater than 0"),
        ("seed=-1", "seed is -1: should be greater than or equal to 0"),
        ("steps=true", "steps is True: should be a valid integer"),
        ("steps=2.5", "steps is 2.5: should be a valid integer"),
        ("learning_rate=-0.1", "learning_rate is -0.1: should be greater than or equal to 0"),
        ("learning_rate=.nan", "learning_rate is nan: should be a finite number"),
        ("learning_rate=1e-4", "learning_rate is '1e-4': to YAML that is a text; with a point"),
        ("losses.silog=5e-1", "losses.silog is '5e-1': to YAML that is a text; with a point"),
        ("augment.smallest_crop=1e-1", "augment.smallest_crop is '1e-1': to YAML that is a text"),
        ("warm_up_share=2", "warm_up_share is 2: should be less than 1"),
        ("warm_up_share=0.25", "warm_up_share 0.25 of 4 steps is one"),
        ("average_decay=1", "average_decay is 1: should be less than 1"),
        ("gradient_norm=0", "gradient_norm is 0: should be greater than 0"),
        ("losses.temperature=0", "losses.temperature is 0: should be greater than 0"),
        ("data.truth=none", "data.truth is none, and no loss with a teacher has a weight"),
        ("losses.kd=1", "losses with a teacher have a weight, but teacher names no card"),
        ("student.encoder=resnet18", "student.encoder is 'resnet18', not one of tf_efficientnet_l"),
        ("student.input_width=60", "student.input_width is 60: should be a multiple of 32"),
        ("student.input_height=0", "student.input_height is 0: should be greater than 0"),
        (
            "augment.aspects=[2, 1]",
            "augment.aspects is [2.0, 1.0], not a range of positive numbers",
        ),
        (
            "augment.aspects=[0, 4]",
            "augment.aspects is [0.0, 4.0], not a range of positive numbers",
        ),
        ("augment.smallest_crop=2", "augment.smallest_crop is 2: should be less than or equal to"),
        ("augment.ground_share=0", "augment.ground_share is 0: should be greater than 0"),
        ("augment.mirror_probability=2", "augment.mirror_probability is 2: should be less than or"),
        ("augment.keep_cameras=-1", "augment.keep_cameras is -1: should be greater than or equal"),
        ("student.reach_m=-1", "student.reach_m is -1: should be greater than 0"),
        ("student.min_depth_m=900", "student.min_depth_m is 900.0, max_depth_m 200.0: not a range"),
        ("student.n_bins=0", "student.n_bins is 0: should be greater than 1"),
        ("foundation.channels=0", "foundation.channels is 0: should be greater than 0"),
        ("foundation.size=xl", "foundation.size is 'xl': should be 'vits', 'vitb' or 'vitl'"),
        ("losses.surface=-1", "losses.surface is -1: should be greater than or equal to 0"),
        ("last_rate_share=-1", "last_rate_share is -1: should be greater than or equal to 0"),
        ("losses={kd: 1, align: false}", "align is false, but bins out of teacher_cache follow no"),
        ("augment.pixels=[0, 0]", "augment.pixels is [0.0, 0.0], not a range of positive numbers"),
        ("steps", "override 'steps' is not of the form key=value"),
        ("steps.x=1", "steps has no keys of its own"),
    ],
)
def test_a_typo_is_one_sentence(config_file, override, message):
    with_teacher = {"teacher": "t.json", "teacher_cache": "c"} if "align" in override else {}
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(config_file(**with_teacher), [override])


@pytest.mark.parametrize("loss", ["sky", "surface"])
def test_the_sky_is_learnt_where_it_is_known(config_file, street, loss):
    for data in ({"kind": "ddad"}, {"truth": "lidar"}):
        config = config_file(losses={loss: 1.0}, data={"train": str(street / "train"), **data})
        with pytest.raises(ConfigError, match=f"losses.{loss} needs dense depth, which data.kind"):
            load_config(config)


def test_a_foundation_model_learns_no_surfaces(config_file):
    overrides = ["losses.surface=1", "foundation.checkpoint=file.pth"]
    with pytest.raises(ConfigError, match="losses.surface has a weight, but a foundation model"):
        load_config(config_file(), overrides)
