"""Values in a training's YAML and on its command line that cannot be: each is one sentence."""

import pytest
from conftest import ROOT

from fsmde_core.distill.config import ConfigError, load_config

FINE_TUNE = ROOT / "config" / "distill" / "fine_tune_nuscenes.yaml"


@pytest.mark.parametrize(
    "override, says",
    [
        ("learning_rate=1e-4", "learning_rate is '1e-4': to YAML that is a text; .* 1.0e-4"),
        ("learning_rate=.inf", "learning_rate is inf: should be a finite number"),
        ("learning_rate=null", "learning_rate is None: should be a valid number"),
        ("steps=1e4", "steps is '1e4': to YAML that is a text; whole numbers are digits"),
        ("steps=99999999999999999999", "steps is 9+: should be less than"),
        ("precision='16'", "precision is '16': should be 'auto', '32-true' or 'bf16-mixed'"),
        ("name=..", "name is '..': string should match"),
        ("name=.hidden", "name is '.hidden': string should match"),
        ("data.size=[640]", r"data.size\[1\] is \[640\]: field required"),
        ("augment.aspects=[]", r"augment.aspects\[0\] is \[\]: field required"),
        ("data=null", "data is None, not a mapping"),
        ("data.skip_faulty=1", "data.skip_faulty is 1: should be a valid boolean"),
        ("foundation.variant=metric", "foundation.checkpoint names no file"),
        ("foundation.max_depth_m=80", "foundation.checkpoint names no file"),
        ("foundation.size=vitb", "foundation.checkpoint names no file"),
        ("data.size=[1000000, 500]", r"data.size\[0\] is 1000000: should be less than"),
        ("data.workers=100000", "data.workers is 100000: should be less than"),
        ("student.n_bins=100000000", "student.n_bins is 100000000: should be less than"),
        ("losses={silog: 0, log_l1: 0, abs_rel: 0, bins: 0}", "no loss has a weight"),
        ("learning_rate=1.0e+300", "learning_rate is 1e.300: should be less than"),
        ("student.max_depth_m=1.0e+300", "student.max_depth_m is 1e.300: should be less than"),
        ("student.canonical_focal_px=1.0e-30", "canonical_focal_px is 1e-30: should be greater"),
        ("student.reach_m=0.1", "student.reach_m is 0.1, min_depth_m 0.17"),
        ("student.n_bins=1", "student.n_bins is 1: should be greater than 1"),
        ("augment.aspects=[1, 1000000]", r"augment.aspects\[1\] is 1000000: should be less than"),
        ("augment.colour_strength=3", "augment.colour_strength is 3: should be less than 1"),
        ("seed=010", "seed is '010': to YAML that is a text; .* without a 0 before them"),
        ("seed=1:30", "seed is '1:30': should be a valid integer"),
        ("steps=0x10", "steps is '0x10': should be a valid integer"),
        ("seed=" + "9" * 5000, "override 'seed=9.* has no YAML value"),
        ("steps=" + "[" * 3000, "override 'steps=.* has no YAML value"),
        ("augment={pixels: [1, 1], pixels: [1, 2]}", "override 'augment=.* has no YAML value"),
        ('name="a\\0b"', "name is 'a.*b': string should match"),
        ("name='a\n\nb'", "name is 'a.*b': string should match"),
        ("name=" + "a" * 300, "name is 'a*': string should match"),
    ],
)
def test_an_impossible_value_is_one_sentence(override, says):
    with pytest.raises(ConfigError, match=says) as caught:
        load_config(FINE_TUNE, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"a: " + b"[" * 3000, "name: x".encode("utf-16"), b"a:\n\tb: 1", b"name: a\0b"]
)
def test_what_is_no_yaml_is_said(tmp_path, content):
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match="c.yaml is not YAML: ") as caught:
        load_config(tmp_path / "c.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("begin, end", [(b"\xef\xbb\xbf", b"\n"), (b"", b"\r\n")])
def test_yaml_from_other_editors_is_read(tmp_path, begin, end):
    (tmp_path / "c.yaml").write_bytes(begin + FINE_TUNE.read_bytes().replace(b"\n", end))
    assert load_config(tmp_path / "c.yaml") == load_config(FINE_TUNE)


@pytest.mark.parametrize(
    "content, says",
    [
        ("steps: 100\nseed: 1\nsteps: 2000", "has key 'steps' twice, in lines 1 and 3"),
        ("data:\n  train: a\n  train: b", "has key 'train' twice, in lines 2 and 3"),
        ("losses: {kd: 1, 'kd': 2}", "has key 'kd' twice, in lines 1 and 1"),
    ],
)
def test_a_key_that_stands_twice_is_named(tmp_path, content, says):
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(ConfigError, match=f"c.yaml {says}$"):
        load_config(tmp_path / "c.yaml")


def test_what_looks_like_a_time_or_a_date_is_the_text_that_it_is(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "data: {<<: {train: a, kind: nuscenes}, train: x, train_split: 10:50}\nname: 2026-13-45"
    )
    config = load_config(tmp_path / "c.yaml", ["data.val_split=1:59"])
    assert config.name == "2026-13-45" and config.data.train == "x"
    assert (config.data.train_split, config.data.val_split) == ("10:50", "1:59")


def test_one_camera_has_no_neighbours_to_compare(tmp_path):
    overrides = ["method=ckd_vrkd", "teacher=t.json", "augment.keep_cameras=1"]
    with pytest.raises(ConfigError, match="losses.vrkd compares adjacent views"):
        load_config(FINE_TUNE, overrides)
    assert load_config(FINE_TUNE, [*overrides, "losses.vrkd=0"]).losses.kd
