import pytest
import torch
from safetensors.torch import save_file

from fsmde_core import depth_anything
from fsmde_core.card import ModelError
from fsmde_core.depth_anything import SIZES, DepthAnythingV2, Size, load_depth_anything

TINY = Size(width=32, heads=2, depth=4, taps=(0, 1, 2, 3), tap_channels=(8, 8, 8, 8), features=8)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(SIZES, "vits", TINY)
    torch.manual_seed(0)
    return DepthAnythingV2(TINY)


def test_the_official_codes_numbers():
    """Printed by the official DepthAnythingV2(encoder="vits") with the same made-up weights."""
    network = DepthAnythingV2(SIZES["vits"]).eval()
    with torch.no_grad():
        for i, (_, p) in enumerate(sorted(network.named_parameters())):
            wave = torch.sin(0.7 * torch.arange(p.numel()) + i)
            fan_in = max(1, p[0].numel())
            p.copy_((wave * (2 / fan_in) ** 0.5 if p.dim() > 1 else 0.2 + 0.1 * wave).view_as(p))
        images = torch.sin(torch.arange(3 * 70 * 98) * 0.01).view(1, 3, 70, 98)
        rel_inv_depth, features = network(images)
    official = torch.tensor([0.345337, 0.325414, 0.295109, 0.242537])
    assert torch.allclose(rel_inv_depth[0, 60, 50:90:10], official, atol=1e-4)
    assert rel_inv_depth.mean().item() == pytest.approx(0.033330, abs=1e-5)
    assert features.shape == (1, 64, 40, 56)


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
def test_files_of_both_kinds_load_unchanged(tiny, tmp_path, suffix):
    path = tmp_path / f"depth_anything_v2_vits{suffix}"
    if suffix == ".pth":
        torch.save(tiny.state_dict(), path)
    else:
        save_file(tiny.state_dict(), path)
    images = torch.randn(2, 3, 28, 42)
    with torch.no_grad():
        ours, theirs = load_depth_anything(path, "vits")(images)[0], tiny.eval()(images)[0]
    assert ours.shape == (2, 28, 42) and torch.equal(ours, theirs)


def test_a_checkpoint_that_is_none_is_named(tiny, tmp_path):
    with pytest.raises(ModelError, match="none.pth: No such file"):
        load_depth_anything(tmp_path / "none.pth", "vits")
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ModelError, match="cut.pth is no Depth Anything V2 vits"):
        load_depth_anything(tmp_path / "cut.pth", "vits")
    torch.save(tiny.state_dict(), tmp_path / "small.pth")
    with pytest.raises(ModelError, match="small.pth is no Depth Anything V2 vitb"):
        load_depth_anything(tmp_path / "small.pth", "vitb")


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    torch.save({"x": depth_anything.load_depth_anything}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="evil.pth"):
        load_depth_anything(tmp_path / "evil.pth", "vits")
