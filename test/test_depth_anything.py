import json

import pytest
import torch
from foundation_files import HALF_A_FILE, WRAPPED, as_transformers, as_version_3, wavy
from safetensors.torch import save_file

from fsmde_core.card import ModelError
from fsmde_core.network.depth_anything import (
    SIZES,
    UNUSED,
    DepthAnythingV2,
    Size,
    load_depth_anything,
)

TINY = Size(width=32, heads=2, depth=4, taps=(0, 1, 2, 3), tap_channels=(8, 8, 8, 8), features=8)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(SIZES, "vits", TINY)
    torch.manual_seed(0)
    return DepthAnythingV2(TINY)


@pytest.fixture
def saved(tiny, tmp_path):
    """Saves the tiny network's weights, or others, under a file name; returns the path."""

    def save(name, weights=None):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        weights = tiny.state_dict() if weights is None else weights
        (save_file if path.suffix == ".safetensors" else torch.save)(weights, path)
        return path

    return save


def same_output(ours, theirs):
    images = torch.randn(2, 3, 28, 42, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        a, b = (network.eval()(images).inverse_depth for network in (ours, theirs))
    return a.shape == (2, 28, 42) and torch.equal(a, b)


def test_the_official_codes_numbers():
    """Printed by the official DepthAnythingV2(encoder="vits") with the same made-up weights."""
    network = wavy(DepthAnythingV2(SIZES["vits"]))
    images = torch.sin(torch.arange(3 * 70 * 98) * 0.01).view(1, 3, 70, 98)
    with torch.no_grad():
        output = network(images)
    official = torch.tensor([0.345337, 0.325414, 0.295109, 0.242537])
    assert torch.allclose(output.inverse_depth[0, 60, 50:90:10], official, atol=1e-4)
    assert output.inverse_depth.mean().item() == pytest.approx(0.033330, abs=1e-5)
    assert output.features.shape == (1, 64, 40, 56) and output.sky is None


@pytest.mark.parametrize(
    "variant, reach, depth, sky",
    [
        ("metric", 80.0, [47.3617, 47.1902, 46.7636, 45.9870], None),
        ("da3_metric", 0.0, [1.4276, 1.3984, 1.3520, 1.2795], [1.2486, 1.1879, 1.0896, 0.9209]),
    ],
)
def test_the_numbers_of_the_official_metric_code_and_version_3(variant, reach, depth, sky):
    """Printed by V2's metric_depth (max_depth 80) and by Depth Anything 3's DinoV2 and DPT."""
    network = DepthAnythingV2(SIZES["vits"], variant=variant, max_depth_m=reach)
    wavy(network, without=UNUSED)
    images = torch.sin(torch.arange(3 * 70 * 98) * 0.01).view(1, 3, 70, 98)
    with torch.no_grad():
        output = network(images)
    assert 1 / output.inverse_depth[0, 60, 50:90:10] == pytest.approx(torch.tensor(depth), 2e-4)
    if sky:
        assert output.sky[0, 60, 50:90:10] == pytest.approx(torch.tensor(sky), 2e-4)


def test_heads_compute_in_float32_inside_autocast(tiny):
    images = torch.randn(1, 3, 28, 42)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = tiny.eval()(images)
    assert output.inverse_depth.dtype == torch.float32
    assert output.features.dtype == torch.bfloat16


@pytest.mark.parametrize("size, tensors, million", [("vits", 239, 24.79), ("vitb", 239, 97.47)])
def test_names_and_sizes_of_the_official_files(size, tensors, million):
    weights = DepthAnythingV2(SIZES[size]).state_dict()
    assert len(weights) == tensors
    assert sum(w.numel() for w in weights.values()) / 1e6 == pytest.approx(million, abs=0.01)
    width = SIZES[size].width
    assert weights["pretrained.pos_embed"].shape == (1, 1370, width)
    assert weights["pretrained.mask_token"].shape == (1, width)
    assert weights["pretrained.patch_embed.proj.weight"].shape == (width, 3, 14, 14)
    assert weights["pretrained.blocks.11.attn.qkv.bias"].shape == (3 * width,)
    assert weights["pretrained.blocks.0.ls1.gamma"].shape == (width,)
    assert "depth_head.scratch.refinenet4.resConfUnit1.conv1.bias" in weights
    assert weights["depth_head.scratch.output_conv2.2.weight"].shape == (1, 32, 1, 1)
    assert weights["depth_head.resize_layers.0.weight"].shape[-2:] == (4, 4)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_of_both_kinds_load_unchanged(tiny, saved, suffix):
    path = saved(f"depth_anything_v2_vits{suffix}")
    assert same_output(load_depth_anything(path, "vits"), tiny)
    path = path.rename(path.with_suffix(".bin"))  # what it is, its bytes say
    assert same_output(load_depth_anything(path, "vits"), tiny)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_16_bits_load(tiny, saved, dtype):
    tiny.load_state_dict({k: v.to(dtype).float() for k, v in tiny.state_dict().items()})
    path = saved("fp16.safetensors", {k: v.to(dtype) for k, v in tiny.state_dict().items()})
    assert same_output(load_depth_anything(path, "vits"), tiny)


@pytest.mark.parametrize("wrap", WRAPPED, ids=lambda wrap: wrap.__name__)
def test_what_training_programs_wrap_around_is_taken_off(tiny, saved, wrap):
    path = saved("training.pth", wrap(tiny.state_dict()))
    assert same_output(load_depth_anything(path, "vits"), tiny)


@pytest.mark.parametrize("mask_token", [True, False])
def test_the_names_of_transformers_are_mapped(tiny, saved, mask_token):
    weights = as_transformers(tiny.state_dict())
    if not mask_token:
        del weights["backbone.embeddings.mask_token"]
    path = saved("model.safetensors", weights)
    assert same_output(load_depth_anything(path, "vits"), tiny)


@pytest.mark.parametrize("variant", ["da3_mono", "da3_metric"])
def test_version_3_loads_from_its_own_names(tiny, saved, variant):
    network = DepthAnythingV2(TINY, variant=variant)
    weights = as_version_3(network.state_dict())
    assert not any("mask_token" in name or "refinenet4.resConfUnit1" in name for name in weights)
    path = saved("model.safetensors", weights)
    loaded = load_depth_anything(path, "vits", variant=variant)
    assert same_output(loaded, network)
    with pytest.raises(ModelError, match="variant=da3_mono or foundation.variant=da3_metric"):
        load_depth_anything(path, "vits")
    with pytest.raises(ModelError, match="is of Depth Anything 3"):
        load_depth_anything(path, "vits", variant="relative")


def test_version_3_by_its_name_or_its_config(tiny, saved):
    weights = as_version_3(DepthAnythingV2(TINY, variant="da3_mono").state_dict())
    path = saved("DA3METRIC-LARGE/model.safetensors", weights)
    with pytest.raises(ModelError, match="DA3METRIC by its name: give .*=da3_metric$"):
        load_depth_anything(path, "vits", variant="da3_mono")
    path = saved("model.safetensors", weights)
    path.with_name("config.json").write_text(json.dumps({"model_name": "da3mono-large"}))
    with pytest.raises(ModelError, match="give foundation.variant=da3_mono$"):
        load_depth_anything(path, "vits", variant="da3_metric")
    assert load_depth_anything(path, "vits", variant="da3_mono").variant == "da3_mono"


@pytest.mark.parametrize("extra", ["cam_dec.x", "backbone.pretrained.camera_token", "da3.x"])
def test_version_3_for_several_views_is_refused(tiny, saved, extra):
    weights = as_version_3(DepthAnythingV2(TINY, variant="da3_mono").state_dict())
    path = saved("DA3-LARGE.safetensors", {**weights, f"model.{extra}": torch.zeros(1)})
    with pytest.raises(ModelError, match="3 for several views; .* DA3MONO-LARGE"):
        load_depth_anything(path, "vits", variant="da3_mono")


@pytest.mark.parametrize(
    "name, reach, max_depth_m",
    [
        ("depth_anything_v2_metric_vkitti_vits.pth", "80", 80.0),
        ("depth_anything_v2_metric_hypersim_vits_fp16.safetensors", "20", 20.0),
        ("Depth-Anything-V2-Metric-Outdoor-Small-hf/model.safetensors", "80", 80.0),
        ("metric_mine.pth", "METRES", 100.0),
        ("DepthAnythingMetric.pth", "METRES", 100.0),
        ("depth_anything_v2_vkitti_vits.pth", "80", 80.0),
        ("hypersim/latest.pth", "20", 20.0),
        ("link_to:depth_anything_v2_metric_vkitti_vits.pth", "80", 80.0),
    ],
)
def test_a_metric_file_is_never_taken_for_a_relative_one(tiny, saved, name, reach, max_depth_m):
    path = saved(name.removeprefix("link_to:"))
    if name.startswith("link_to:"):
        (path.parent / "links").mkdir()
        link = path.parent / "links" / "teacher.pth"
        link.symlink_to(path)
        path = link
    for variant in ("", "relative", "da3_metric"):
        with pytest.raises(ModelError, match=f"variant=metric foundation.max_depth_m={reach}"):
            load_depth_anything(path, "vits", variant=variant)
    with pytest.raises(ModelError, match=f"max_depth_m={reach}"):
        load_depth_anything(path, "vits", variant="metric")
    network = load_depth_anything(path, "vits", variant="metric", max_depth_m=max_depth_m)
    with torch.no_grad():
        depth = 1 / network(torch.randn(1, 3, 28, 28)).inverse_depth
    assert 0 < depth.min() and depth.max() < max_depth_m


@pytest.mark.parametrize(
    "name", ["geometric/depth_anything_v2_vits.pth", "symmetric.pth", "metrics/last.pth"]
)
def test_a_name_that_only_sounds_metric_says_nothing(tiny, saved, name):
    assert load_depth_anything(saved(name), "vits").variant == "relative"


def test_the_config_beside_what_a_link_leads_to_is_heard(tiny, saved, tmp_path):
    path = saved("there/model.safetensors", as_transformers(tiny.state_dict()))
    config = {"model_type": "depth_anything", "depth_estimation_type": "metric", "max_depth": 80}
    path.with_name("config.json").write_text(json.dumps(config))
    (tmp_path / "teacher.safetensors").symlink_to(path)
    with pytest.raises(ModelError, match="variant=metric foundation.max_depth_m=80"):
        load_depth_anything(tmp_path / "teacher.safetensors", "vits")


def test_the_config_of_transformers_tells_metric_from_relative(tiny, saved):
    path = saved("model.safetensors", as_transformers(tiny.state_dict()))
    config = {"model_type": "depth_anything", "depth_estimation_type": "metric", "max_depth": 80}
    path.with_name("config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="config.json .*variant=metric foundation.max_depth_m=80"):
        load_depth_anything(path, "vits")
    with pytest.raises(ModelError, match="max_depth_m=80"):
        load_depth_anything(path, "vits", variant="metric", max_depth_m=20)
    assert load_depth_anything(path, "vits", variant="metric", max_depth_m=80).max_depth_m == 80
    config["depth_estimation_type"] = "relative"
    path.with_name("config.json").write_text(json.dumps(config))
    assert load_depth_anything(path, "vits").variant == "relative"
    with pytest.raises(ModelError, match="is relative, .*give foundation.variant=relative$"):
        load_depth_anything(path, "vits", variant="metric", max_depth_m=80)


@pytest.mark.parametrize("form", [b"\xef\xbb\xbf%s", b"%s\r\n"])
@pytest.mark.parametrize("kind, reach, asks", [("metric", 20, "20$"), ("Metric", None, "METRES")])
def test_a_config_that_says_metric_is_heard_however_it_is_written(
    tiny, saved, form, kind, reach, asks
):
    path = saved("model.safetensors", as_transformers(tiny.state_dict()))
    config = {"model_type": "depth_anything", "depth_estimation_type": kind, "max_depth": reach}
    path.with_name("config.json").write_bytes(form % json.dumps(config).encode())
    with pytest.raises(ModelError, match=f"variant=metric foundation.max_depth_m={asks}"):
        load_depth_anything(path, "vits")


def test_a_config_that_does_not_read_is_not_taken_for_none(tiny, saved):
    path = saved("model.safetensors", as_transformers(tiny.state_dict()))
    path.with_name("config.json").write_text('{"model_type": "depth_any')
    with pytest.raises(ModelError, match="config.json, which may say what model.safetensors is"):
        load_depth_anything(path, "vits")


def test_a_file_that_says_nothing_may_be_metric_if_asked(tiny, saved):
    path = saved("weights.pth")
    with pytest.raises(ModelError, match="max_depth_m is of foundation.variant=metric alone"):
        load_depth_anything(path, "vits", max_depth_m=80)
    assert load_depth_anything(path, "vits", variant="metric", max_depth_m=80).variant == "metric"


def test_version_1_has_the_names_of_version_2_and_is_refused(tiny, saved):
    with pytest.raises(ModelError, match="vits14.pth is of Depth Anything V1"):
        load_depth_anything(saved("depth_anything_vits14.pth"), "vits")
    path = saved("model.safetensors", as_transformers(tiny.state_dict()))
    config = {"model_type": "depth_anything", "backbone_config": {"out_indices": [9, 10, 11, 12]}}
    path.with_name("config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="is of Depth Anything V1"):
        load_depth_anything(path, "vits")


def test_a_checkpoint_that_is_none_is_named(tiny, saved, tmp_path):
    with pytest.raises(ModelError, match="none.pth: No such file"):
        load_depth_anything(tmp_path / "none.pth", "vits")
    with pytest.raises(ModelError, match="Is a directory"):
        load_depth_anything(tmp_path, "vits")
    with pytest.raises(ModelError, match="no Depth Anything vitb: give foundation.size=vits"):
        load_depth_anything(saved("small.pth"), "vitb")
    weights = tiny.state_dict()
    del weights["pretrained.norm.bias"]
    with pytest.raises(ModelError, match="vits: it lacks pretrained.norm.bias;"):
        load_depth_anything(saved("less.pth", weights), "vits")
    with pytest.raises(ModelError, match="more.pth .* another shape: x$"):
        load_depth_anything(saved("more.pth", {"x": torch.zeros(1), **tiny.state_dict()}), "vits")
    integers = {k: v.to(torch.int8) for k, v in tiny.state_dict().items()}
    with pytest.raises(ModelError, match="int8.pth is no Depth Anything vits"):
        load_depth_anything(saved("int8.pth", integers), "vits")


@pytest.mark.parametrize("break_file, says", HALF_A_FILE)
def test_half_a_download_and_what_is_no_file_of_weights(saved, break_file, says):
    path = break_file(saved)
    with pytest.raises(ModelError, match=f"^checkpoint {path} {says}") as caught:
        load_depth_anything(path, "vits")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_that_runs_code_is_refused_without_a_hint_how_to_run_it(tmp_path, old):
    path = tmp_path / "evil.pth"
    torch.save({"x": load_depth_anything}, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(ModelError, match="evil.pth holds Python objects besides tensors") as caught:
        load_depth_anything(path, "vits")
    assert "weights_only" not in str(caught.value)
