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
