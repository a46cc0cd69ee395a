"""The losses of one step, by hand."""

from dataclasses import replace

import pytest
import torch
from tiny import CKD_VRKD

from fsmde_core.data.sources import TIME
from fsmde_core.distill import step
from fsmde_core.distill.config import LossConfig, load_config
from fsmde_core.distill.state import new_state
from fsmde_core.distill.step import ring_pairs


def random_rig(cameras=2, *, height=32, width=64):
    """Images, K and poses of one rig, and depths of it."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (1, cameras, height, width, 3), dtype=torch.uint8)
    K = torch.tensor([[50.0, 0, 32], [0, 50, 16], [0, 0, 1]]).expand(1, cameras, 3, 3)
    depth_gt = 1 + 20 * torch.rand(1, cameras, height, width)
    return (images, K, torch.eye(4).expand(1, cameras, 4, 4)), depth_gt


def step_of(config_file, **changes):
    """A step with a student at its start."""
    config = load_config(config_file(teacher="t.json", **changes))
    student = new_state(config, torch.device("cpu")).student.eval()
    return step.DistillStep(student, config.losses, config.student)


SUPERVISED = {"silog": 1.0, "log_l1": 0.5, "abs_rel": 0.25, "bins": 2.0}


def test_the_total_is_supervised_and_ckd_and_vrkd(config_file):
    distill_step = step_of(config_file, losses={**SUPERVISED, **CKD_VRKD, "align": False})
    weights, (views, depth_gt) = distill_step.losses, random_rig()
    mask = depth_gt < 0
    logits, centers = torch.randn(1, 2, 8, 8, 16), torch.arange(1.0, 9).expand(1, 2, 8)
    losses = distill_step(*views, depth_gt, ~mask, mask, logits, centers)
    output = distill_step.student(*views)
    truth = step.known_truth(depth_gt, ~mask, None, mask, 200.0)
    teaching = step.taught(output, logits, centers, truth, align=False)
    supervised, parts = step.supervised_loss(output, truth, weights)
    ckd, ckd_parts = step.ckd_loss(output, teaching, truth, weights)
    vrkd, vrkd_parts = step.vrkd_loss(output, teaching, ring_pairs(views[2]), weights)
    assert list(parts) == list(SUPERVISED)
    assert list(ckd_parts) == ["kd", "cross", "relative"] and list(vrkd_parts) == ["vrkd"]
    expected = {**SUPERVISED, **CKD_VRKD}
    by_hand = sum(expected[name] * losses[name] for name in expected)
    assert losses["total"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert (supervised + ckd + vrkd).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_own_vehicle_teaches_no_depth(config_file):
    losses = {**SUPERVISED, **CKD_VRKD, "surface": 1.0, "sky": 1.0}
    distill_step, (views, depth_gt) = step_of(config_file, losses=losses), random_rig()
    mask = torch.zeros(depth_gt.shape, dtype=torch.bool)
    mask[:, :, 20:] = True  # the bonnet, where LiDAR hits it
    logits, centers = torch.randn(1, 2, 8, 8, 16), torch.arange(1.0, 9).expand(1, 2, 8)
    seen = [
        distill_step(*views, truth, truth > 0, mask, logits, centers, sky=mask & False)
        for truth in (depth_gt, depth_gt.where(~mask, torch.tensor(0.4)), depth_gt.where(~mask, 0))
    ]
    for name in (*SUPERVISED, *CKD_VRKD, "surface", "sky", "total"):
        assert len({losses[name].item() for losses in seen}) == 1, name


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
def test_a_scale_invariant_teacher_stays_at_the_rigs_median(config_file, scale):
    """Its loss pulls the rig's depths to where their median is in the middle of the bins, whatever
    the metres are."""
    losses = {"silog": 1.0, "bins": 1.0, "scale_invariant": True}
    distill_step, (views, depth_gt) = step_of(config_file, losses=losses), random_rig()
    relative = 10 * depth_gt / depth_gt.median()

    def silog(drift):
        output = distill_step.student(*views)
        distill_step.student.forward = lambda *_: replace(output, depth=drift * relative)
        loss = distill_step(*views, scale * depth_gt, depth_gt > 0, depth_gt < 0)["silog"].item()
        del distill_step.student.forward
        return loss

    assert silog(1.0) < 0.1
    assert silog(1.6) > 1 and silog(1 / 1.6) > 1  # nothing held it
    assert silog(1.6) == pytest.approx(silog(1 / 1.6), rel=1e-3)


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_what_lies_beyond_reach_and_bins_is_told(config_file, kind):
    losses = {"silog": 1.0, "bins": 1.0}
    distill_step, (views, depth_gt) = step_of(config_file, losses=losses), random_rig()
    depth_gt[0, 0, :, 32:] = 150.0  # at 50 pixels focal length the bins end at 20 m
    depth_gt[0, 1, :16] = 250.0
    depth_gt[0, 1, 16:] = 15.0
    depth_gt[0, 0, :, :32] = 15.0
    valid = torch.ones(depth_gt.shape, dtype=torch.bool)
    if kind == "sparse":
        valid[:, :, ::2] = False
    told = distill_step(*views, depth_gt, valid, valid & False)
    assert told["beyond_reach"].item() == pytest.approx(1 / 4)
    assert told["beyond_bins"].item() == pytest.approx(1 / 3)
    assert told["total"].item() == pytest.approx((told["silog"] + told["bins"]).item())
    nothing = distill_step(*views, depth_gt, valid & False, valid & False)
    assert nothing["beyond_reach"] == nothing["beyond_bins"] == 0


@pytest.mark.parametrize("depth_m", [30.0, 199.0])
def test_truth_beyond_the_last_bin_is_of_the_last_bin(config_file, depth_m):
    distill_step, (views, depth_gt) = step_of(config_file, losses={"bins": 1.0}), random_rig()
    depth_gt[:] = depth_m
    output = distill_step.student(*views)
    losses = distill_step(*views, depth_gt, depth_gt > 0, depth_gt < 0)
    assert losses["beyond_bins"] == 1 and losses["beyond_reach"] == 0
    last = -output.bin_logits.log_softmax(dim=2)[:, :, -1].mean()
    assert losses["bins"].item() == pytest.approx(last.item(), rel=1e-4)


def wide_camera(config_file, depth_m, *, sky=False):
    """Losses of a camera of 110 degrees, all of whose pixels are at depth_m, or of the sky."""
    losses = {"silog": 0.0, "log_l1": 1.0, "sky": 1.0, "surface": 1.0}
    config = load_config(config_file(losses=losses))
    student = new_state(config, torch.device("cpu")).student.eval()
    images = torch.randint(0, 256, (1, 1, 32, 64, 3), dtype=torch.uint8)
    K = torch.tensor([[22.4, 0, 32], [0, 22.4, 16], [0, 0, 1]]).expand(1, 1, 3, 3)
    depth_gt = torch.full((1, 1, 32, 64), depth_m)
    valid = torch.full(depth_gt.shape, not sky)
    views = images, K, torch.eye(4).expand(1, 1, 4, 4)
    with torch.no_grad():
        distill_step = step.DistillStep(student, config.losses, config.student)
        losses = distill_step(*views, depth_gt, valid, valid & False, sky=~valid)
        return losses, student(*views)


@pytest.mark.parametrize("depth_m", [0.3, 20.0, 150.0, 199.0])
def test_truth_counts_to_the_reach_whatever_the_lens(config_file, depth_m):
    losses, output = wide_camera(config_file, depth_m)
    expected = 10 * (output.depth / depth_m).log().abs().mean()
    assert losses["log_l1"] == pytest.approx(expected.item(), rel=1e-4)
    assert losses["sky"] == 0 and losses["surface"] < 0.1  # as all start from a surface


@pytest.mark.parametrize("sky", [True, False])
def test_what_is_beyond_the_reach_counts_as_the_sky(config_file, sky):
    losses, output = wide_camera(config_file, 201.0, sky=sky)
    assert losses["log_l1"] == 0
    short = (200.0 / output.depth).log().mean()
    assert losses["sky"] == pytest.approx(short.item(), rel=1e-4)
    assert losses["surface"] > 2


def test_ring_pairs_go_once_around(rig):
    pairs = ring_pairs(torch.from_numpy(rig.T_ego_cam)[None])[0].tolist()
    assert {tuple(pair) for pair in pairs} == set(rig.neighbours())
    assert ring_pairs(torch.from_numpy(rig.T_ego_cam[:2])[None]).shape == (1, 1, 2)
    assert ring_pairs(torch.from_numpy(rig.T_ego_cam[:1])[None]).shape == (1, 0, 2)


@pytest.mark.parametrize("with_truth", [True, False])
def test_the_scale_of_a_teacher_is_not_taught(config_file, with_truth):
    config = load_config(config_file(losses=CKD_VRKD, teacher="t.json"))
    student = new_state(config, torch.device("cpu")).student.eval()
    images = torch.randint(0, 256, (1, 2, 32, 64, 3), dtype=torch.uint8)
    K = torch.tensor([[50.0, 0, 32], [0, 50, 16], [0, 0, 1]]).expand(1, 2, 3, 3)
    depth_gt = 1 + 20 * torch.rand(1, 2, 32, 64)
    valid, mask = torch.full(depth_gt.shape, with_truth), torch.zeros(depth_gt.shape, dtype=bool)
    logits = torch.randn(1, 2, 8, 8, 16)
    centers = torch.tensor([1.0, 2, 4, 7, 11, 16, 24, 40]).expand(1, 2, 8)
    distill_step = step.DistillStep(student, config.losses, config.student)
    metric, other = (
        distill_step(images, K, torch.eye(4).expand(1, 2, 4, 4), depth_gt, valid, mask, logits, c)
        for c in (centers, 3.5 * centers)
    )
    assert metric["kd"] > 0.01 and metric["relative"] > 0.01
    for name in ("kd", "cross", "relative", "vrkd"):
        assert torch.isclose(metric[name], other[name], rtol=1e-3), name


def test_depthwise_convolutions_learn_the_same_in_float32(config_file):
    config = load_config(config_file())
    student = new_state(config, torch.device("cpu")).student.eval()
    images = torch.randint(0, 256, (1, 2, 32, 64, 3), dtype=torch.uint8)
    K = torch.tensor([[50.0, 0, 32], [0, 50, 16], [0, 0, 1]]).expand(1, 2, 3, 3)
    (conv,) = [m for n, m in student.named_modules() if n == "encoder.blocks.0.0.conv_dw"]
    gradients = []
    for prepare in (lambda _: None, step.depthwise_in_float32):
        prepare(student)
        student.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            # not the depth: which cell is the nearest may change with the last digit
            output = student(images, K, torch.eye(4).expand(1, 2, 4, 4))
            output.bin_logits.float().square().mean().backward()
        gradients.append(conv.weight.grad.clone())
    off = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert 0 < off < 0.1  # bf16 keeps two to three digits


def test_a_drive_says_nothing_of_sky_own_vehicle_and_what_is_not_trusted(config_file):
    student = step_of(config_file, losses={"silog": 1.0}).student
    views, _ = random_rig()
    images, K, T_ego_cam = views
    output = student(*views)
    depth = output.depth.detach().requires_grad_()
    surface = torch.ones(depth.shape)
    surface[..., :24] = -1.0  # the sky
    output = replace(output, depth=depth, surface_logits=surface.requires_grad_())
    seen = torch.zeros(1, 2, 8, 32, 64, dtype=torch.bool)
    seen[:, :, TIME] = True
    T_source_cam = torch.eye(4).repeat(1, 2, 8, 1, 1)
    T_source_cam[..., 0, 3] = 0.2
    others = torch.randint(0, 256, (1, 2, 8, 32, 64, 3), dtype=torch.uint8)
    drive = step.Comparison(
        images, K, others, seen, K[:, :, None].expand(1, 2, 8, 3, 3), T_source_cam
    )
    mask, trust = torch.zeros(depth.shape, dtype=torch.bool), torch.ones(depth.shape)
    mask[..., 24:, :] = True
    trust[..., 44:] = 0.0
    told = torch.full(depth.shape, -2.0)
    weights = LossConfig(silog=0.0, photometric=2.0, keep_surface=0.5)
    total, parts = step.adapt_loss(output, drive, mask, trust, told, weights)
    by_hand = 2 * parts["photometric"] + 0.5 * parts["keep_surface"]
    assert list(parts) == ["photometric", "keep_surface"]
    assert total.item() == pytest.approx(by_hand.item())
    total.backward()
    assert depth.grad[..., :24, 24:44].any()
    assert not depth.grad[..., :20].any() and not depth.grad[..., 48:].any()
    assert not depth.grad[..., 28:, :].any()
    assert (surface.grad[..., :24, :] > 0).all()  # towards no surface, as the teacher says


def test_depths_far_from_the_teachers_are_not_trusted(config_file):
    student = step_of(config_file, losses={"silog": 1.0}).student
    views, _ = random_rig()
    output = student(*views)
    logits = torch.zeros(1, 2, 8, 8, 16)
    depth = output.bin_centers.mean(dim=-1)[..., None, None].expand(output.depth.shape).clone()
    depth[..., 16:32] *= 2
    depth[..., 32:48] /= 2
    depth[..., 48:] *= 5
    teaching = step.Teaching(logits, output.bin_centers, logits[:, :, 0] == 0)
    trust = step.trusted(replace(output, depth=depth), teaching)[0, 0, 0]
    assert trust[0] == pytest.approx(1) and trust[16] == pytest.approx(0.5, abs=0.02)
    assert trust[32] == pytest.approx(trust[16].item(), abs=1e-4) and trust[63] == 0


@pytest.mark.parametrize(
    ("asked", "has", "computed"),
    [
        ("auto", {"avx2": True, "avx512_bf16": False}, "32-true"),
        ("auto", {"avx512_bf16": True}, "bf16-mixed"),
        ("auto", {"neon": True, "bf16": True}, "bf16-mixed"),
        ("bf16-mixed", {}, "bf16-mixed"),
    ],
)
def test_bf16_is_for_processors_that_have_it(monkeypatch, asked, has, computed):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert step.precision_on(torch.device("cpu"), asked) == computed
