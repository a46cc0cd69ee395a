import math

import pytest
import torch

from fsmde_core.distill.losses import (
    abs_rel_loss,
    aligned_logits,
    bin_distillation_loss,
    bin_likelihood_loss,
    cross_interaction_loss,
    log_l1_loss,
    relative_depth_loss,
    silog_loss,
    sky_loss,
    surface_loss,
    view_relational_loss,
)

ONE_PIXEL = torch.ones(1, 1, 1, dtype=torch.bool)


def one_row(*values):
    """One camera whose image is one row."""
    return torch.tensor(values)[None, None]


def logits_of(*probabilities):
    """One camera of one pixel with these bin probabilities."""
    return torch.tensor(probabilities).log()[None, :, None, None]


def test_silog_by_hand():
    # g = log 2 and 0: mean = variance of halves: Var = (log 2 / 2)^2, mean = log 2 / 2
    depth, depth_gt = one_row(2.0, 5.0), one_row(1.0, 5.0)
    half = torch.log(torch.tensor(2.0)) / 2
    expected = 10 * torch.sqrt(half**2 * 1.15)
    assert torch.allclose(silog_loss(depth, depth_gt, depth_gt > 0), expected, atol=1e-5)


def test_a_common_scale_costs_less_than_scatter():
    depth_gt = one_row(1.0, 5.0, 20.0)
    valid = depth_gt > 0
    scaled = silog_loss(2 * depth_gt, depth_gt, valid)
    scattered = silog_loss(depth_gt * torch.tensor([2.0, 0.5, 2.0]), depth_gt, valid)
    assert scaled < 0.5 * scattered
    free = silog_loss(2 * depth_gt, depth_gt, valid, mean_weight=0.0)
    assert free.item() == pytest.approx(0, abs=2e-3)


def test_pixels_that_are_not_valid_do_not_count():
    depth, depth_gt = one_row(2.0, 5.0, 123.0), one_row(1.0, 5.0, 0.0)
    with_third = silog_loss(depth, depth_gt, depth_gt > 0)
    two = depth[..., :2], depth_gt[..., :2]
    assert torch.equal(with_third, silog_loss(*two, two[1] > 0))


def test_log_l1_by_hand_asks_for_the_median():
    depth, depth_gt = one_row(2.0, 5.0, 9.0), one_row(1.0, 10.0, 0.0)
    depth.requires_grad_()
    loss = log_l1_loss(depth, depth_gt, depth_gt > 0)
    assert loss.item() == pytest.approx(10 * math.log(2), rel=1e-5)
    loss.backward()
    assert torch.allclose(depth.grad * depth.detach(), one_row(5.0, -5.0, 0.0))  # by sign alone


def test_abs_rel_by_hand_fears_overlooking_more_than_seeing_ghosts():
    depth, depth_gt = one_row(2.0, 5.0, 9.0), one_row(1.0, 10.0, 0.0)
    depth.requires_grad_()
    loss = abs_rel_loss(depth, depth_gt, depth_gt > 0)
    assert loss.item() == pytest.approx(10 * (1.0 + 0.5) / 2, rel=1e-5)
    loss.backward()
    assert torch.allclose(depth.grad, one_row(5.0, -0.5, 0.0))


def test_bin_likelihood_by_hand():
    # centres 1, 4, 16 m: 4 m is bin 1; 8 m lies half way, in logs, between bins 1 and 2
    logits = logits_of(0.5, 0.3, 0.2).expand(1, 3, 1, 3).clone().requires_grad_()
    centers = torch.tensor([[1.0, 4.0, 16.0]], requires_grad=True)
    depth_gt = one_row(4.0, 8.0, 0.0)
    loss = bin_likelihood_loss(logits, centers, depth_gt, depth_gt > 0)
    expected = -(math.log(0.3) + (math.log(0.3) + math.log(0.2)) / 2) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert centers.grad is None
    assert (logits.grad[..., 2] == 0).all() and (logits.grad[0, 1, 0, :2] < 0).all()
    assert bin_likelihood_loss(logits, centers, depth_gt, depth_gt < 0).item() == 0
    beyond = bin_likelihood_loss(logits, centers, one_row(99.0, 0.1, 1.0), depth_gt >= 0)
    assert beyond.item() == pytest.approx(-(math.log(0.2) + 2 * math.log(0.5)) / 3, rel=1e-5)


@pytest.mark.parametrize("place", [(0, 0), (1, 3), (2, 2), (3, 1)])
def test_every_point_of_a_cell_teaches_its_bin(place):
    row, column = place
    depth_gt = torch.zeros(1, 4, 8)
    depth_gt[0, row, 4 + column] = 4.0  # one LiDAR point, somewhere in the second of two cells
    logits = logits_of(0.5, 0.3, 0.2).expand(1, 3, 1, 2).clone().requires_grad_()
    centers = torch.tensor([[1.0, 4.0, 16.0]])
    loss = bin_likelihood_loss(logits, centers, depth_gt, depth_gt > 0)
    assert loss.item() == pytest.approx(-math.log(0.3), rel=1e-5)
    loss.backward()
    assert (logits.grad[..., 0] == 0).all() and logits.grad[0, 1, 0, 1] < 0


def test_points_count_alike_however_they_fall_into_cells():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 3, 5, generator=generator)
    centers = torch.linspace(0.0, 4.0, 8).exp().expand(2, 3, 8)
    depth_gt = torch.rand(2, 3, 12, 20, generator=generator) * 60 + 0.1
    valid = torch.rand(depth_gt.shape, generator=generator) < 0.1
    loss = bin_likelihood_loss(logits, centers, depth_gt, valid)
    fine = logits.repeat_interleave(4, dim=-2).repeat_interleave(4, dim=-1)  # a cell a pixel
    assert loss.item() == pytest.approx(
        bin_likelihood_loss(fine, centers, depth_gt, valid).item(), rel=1e-5
    )
    forgiving = [
        bin_likelihood_loss(maps, centers, depth_gt, valid, depth_mean="arithmetic").item()
        for maps in (logits, fine)
    ]
    assert forgiving[0] == pytest.approx(forgiving[1], rel=1e-5)


def test_a_scale_invariant_likelihood_sees_no_common_scale():
    torch.manual_seed(0)
    logits, depth_gt = torch.randn(1, 2, 16, 3, 4), torch.rand(1, 2, 3, 4) * 20 + 1
    centers = torch.linspace(0.0, 5.0, 16).exp().expand(1, 2, 16)
    near, far = (
        bin_likelihood_loss(
            logits, centers, scale * depth_gt, depth_gt > 0, depth_mean="arithmetic"
        )
        for scale in (1.0, 3.0)
    )
    assert near.item() == pytest.approx(far.item(), rel=1e-4)


def test_losses_read_depth_as_the_student_does():
    # half on 2 m, half on 8 m: 5 m, 4 m or 3.2 m
    logits, centers = logits_of(0.5, 0.5), torch.tensor([[2.0, 8.0]])
    known = ONE_PIXEL
    for depth_mean, depth in (("arithmetic", 5.0), ("geometric", 4.0), ("harmonic", 3.2)):
        depth_gt = torch.full((1, 1, 1), depth)
        loss = cross_interaction_loss(centers, logits, depth_gt, known, depth_mean=depth_mean)
        assert loss.item() == pytest.approx(0, abs=1e-2)
        aligned = aligned_logits(
            logits, 3 * centers, centers, depth_gt, known, depth_mean=depth_mean
        )
        assert torch.allclose(aligned, logits, atol=1e-4)


def test_only_a_near_sky_costs():
    depth = one_row(50.0, 300.0, 1.0).requires_grad_()
    sky, far_m = one_row(True, True, False), torch.tensor(100.0)
    loss = sky_loss(depth, sky, far_m)
    assert loss.item() == pytest.approx(math.log(2) / 2, rel=1e-5)
    loss.backward()
    assert depth.grad[0, 0, 0] < 0 and (depth.grad[0, 0, 1:] == 0).all()
    assert sky_loss(depth, ~(sky | True), far_m) == 0


def test_surfaces_count_where_they_are_known():
    logits = one_row(2.0, -1.0, 5.0, 0.0).requires_grad_()
    surface, known = one_row(True, False, False, True), one_row(True, True, False, False)
    loss = surface_loss(logits, surface, known)
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert logits.grad[0, 0, 0] < 0 < logits.grad[0, 0, 1] and (logits.grad[0, 0, 2:] == 0).all()
    nothing = surface_loss(logits, surface, ~(known | True))
    nothing.backward()
    assert nothing.item() == 0 and logits.grad.isfinite().all()


def test_surfaces_are_learnt_in_full_precision():
    logits = one_row(9.0, -9.0).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = surface_loss(logits, one_row(True, False), one_row(True, True))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log1p(math.exp(-9)), rel=2e-3)  # bf16: 4e-3


def test_rigs_have_a_scale_each_and_count_alike():
    depth_gt = one_row(1.0, 5.0).expand(2, 1, 1, 2)
    depth = depth_gt * torch.tensor([2.0, 0.5])[:, None, None, None]
    each = 10 * math.sqrt(0.15) * math.log(2)
    loss = silog_loss(depth, depth_gt, depth_gt > 0)
    assert loss.item() == pytest.approx(each, rel=1e-4)
    nothing = torch.stack([depth_gt[0] > 0, depth_gt[1] < 0])
    assert silog_loss(depth, depth_gt, nothing).item() == pytest.approx(each / 2, rel=1e-4)


def test_no_valid_pixel_gives_zero_and_a_zero_gradient():
    depth = one_row(2.0, 5.0).requires_grad_()
    loss = silog_loss(depth, torch.zeros(1, 1, 2), torch.zeros(1, 1, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert depth.grad.tolist() == [[[0, 0]]]


def test_a_perfect_prediction_has_a_finite_gradient():
    depth = one_row(2.0, 5.0).requires_grad_()
    silog_loss(depth, depth.detach(), depth > 0).backward()
    assert depth.grad.isfinite().all()
    assert silog_loss(depth, depth.detach(), depth > 0).item() == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7])
def test_a_teacher_of_any_scale_is_moved_to_the_bins_that_are_right(scale):
    generator = torch.Generator().manual_seed(0)
    depth_gt = torch.rand(1, 2, 8, 12, generator=generator) * 40 + 4
    centers = torch.linspace(math.log(0.5), math.log(200), 64).exp().expand(1, 2, 64)
    of_student = torch.linspace(math.log(0.3), math.log(90), 48).exp().expand(1, 2, 48)
    away = (centers.log()[..., None, None] - (scale * depth_gt).log()[:, :, None]) / 0.2
    valid = torch.rand(depth_gt.shape, generator=generator) < 0.1
    logits = aligned_logits(-away.square(), centers, of_student, depth_gt, valid)
    probs = logits.softmax(dim=2)
    depth = (probs * of_student[..., None, None]).sum(dim=2)
    assert probs.sum(dim=2).allclose(torch.ones(()), atol=1e-3)
    assert ((depth / depth_gt - 1).abs() < 0.05).all()


def test_a_teacher_stays_where_nothing_tells_its_scale():
    logits = torch.randn(1, 1, 8, 2, 3, generator=torch.Generator().manual_seed(0))
    centers, depth_gt = torch.arange(1.0, 9).expand(1, 1, 8), torch.zeros(1, 1, 8, 12)
    moved = aligned_logits(logits.requires_grad_(), centers, centers, depth_gt, depth_gt > 0)
    assert not moved.requires_grad
    assert moved.softmax(dim=2).allclose(logits.softmax(dim=2), atol=1e-5)


def test_bin_distillation_by_hand():
    student, teacher = logits_of(0.5, 0.5), logits_of(0.25, 0.75)
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    loss = bin_distillation_loss(student, teacher, ONE_PIXEL)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    same = bin_distillation_loss(teacher + 3.0, teacher, ONE_PIXEL)
    assert same.item() == pytest.approx(0, abs=1e-6)  # logits are known up to a constant
    # at temperature 2 the teacher's odds of 3 become sqrt(3)
    p = math.sqrt(3) / (1 + math.sqrt(3))
    expected = 4 * (p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p)))
    loss = bin_distillation_loss(student, teacher, ONE_PIXEL, temperature=2.0)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_bin_distillation_teaches_the_student_only_and_only_where_it_may():
    student = torch.randn(2, 8, 3, 4, requires_grad=True)
    teacher = torch.randn(2, 8, 3, 4, requires_grad=True)
    mask = torch.ones(2, 3, 4, dtype=torch.bool)
    mask[1, 0] = False
    bin_distillation_loss(student, teacher, mask).backward()
    assert teacher.grad is None
    assert (student.grad[1, :, 0] == 0).all() and (student.grad[0] != 0).any()
    nothing = bin_distillation_loss(student, teacher, torch.zeros_like(mask))
    assert nothing.item() == 0


def test_cross_interaction_by_hand():
    # the teacher's halves of 2 m and 6 m make 4 m where 8 m is true: g = -log 2
    bin_centers = torch.tensor([[2.0, 6.0]], requires_grad=True)
    teacher = logits_of(0.5, 0.5).requires_grad_()
    loss = cross_interaction_loss(bin_centers, teacher, torch.full((1, 1, 1), 8.0), ONE_PIXEL)
    assert loss.item() == pytest.approx(10 * math.sqrt(0.15) * math.log(2), rel=1e-4)
    loss.backward()
    assert teacher.grad is None
    assert (bin_centers.grad < 0).all()  # further out, and both alike
    assert bin_centers.grad[0, 0].item() == pytest.approx(bin_centers.grad[0, 1].item())


def test_cross_interaction_leaves_the_students_probabilities_alone():
    student, teacher = torch.randn(2, 8, 3, 4, requires_grad=True), torch.randn(2, 8, 3, 4)
    bin_centers = torch.arange(1.0, 9.0).expand(2, 8).clone().requires_grad_()
    valid = torch.ones(2, 12, 16, dtype=torch.bool)
    depth_gt = torch.full((2, 12, 16), 5.0)
    cross = cross_interaction_loss(bin_centers, teacher, depth_gt, valid)
    (cross + 0.0 * student.sum()).backward()
    assert (student.grad == 0).all() and (bin_centers.grad != 0).any()


def post_and_wall():
    """A near post left of a far wall, in 3 x 6 cells of 4 x 4 pixels, the edge within a cell.

    Bin logits, truth [1, 1, 12, 24], and the side on which a network that sees it puts each pixel.
    """
    far = torch.arange(6) > 2
    logits = torch.where(far, -40.0, 40.0).expand(1, 1, 1, 3, 6)
    far_share = (torch.arange(24) > 12).float().expand(1, 1, 12, 24)
    truth = torch.where(far_share > 0, 40.0, 4.0)
    return torch.cat([logits, -logits], dim=2), truth, far_share


def test_centres_are_judged_where_the_student_puts_the_edge():
    logits, truth, far_share = post_and_wall()
    centers = torch.tensor([[[4.0, 40.0]]], requires_grad=True)
    sharp = cross_interaction_loss(centers, logits, truth, truth > 0, far_share=far_share)
    smeared = cross_interaction_loss(centers, logits, truth, truth > 0)
    assert sharp.item() < 0.01 and smeared.item() > 0.5  # the centres are right already
    share = far_share.clone().requires_grad_()
    off = torch.tensor([[[5.0, 40.0]]], requires_grad=True)
    cross_interaction_loss(off, logits, truth, truth > 0, far_share=share).backward()
    assert share.grad is None and off.grad[0, 0, 0] > 0


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_teachers_scale_is_told_where_the_student_puts_the_edge(scale):
    logits, truth, far_share = post_and_wall()
    valid = torch.zeros(truth.shape, dtype=torch.bool)
    valid[..., 11:14] = True  # LiDAR that hits nothing but the edge
    fine = torch.linspace(math.log(1), math.log(100), 200).exp().expand(1, 1, 200)
    centers = scale * torch.tensor([[[4.0, 40.0]]])

    def post_m(**options):
        moved = aligned_logits(logits, centers, fine, truth, valid, **options)
        probs = moved.softmax(dim=2)[0, 0, :, 1, 0]
        return (probs * fine[0, 0].log()).sum().exp().item()

    assert post_m(far_share=far_share) == pytest.approx(4, rel=0.02)
    assert abs(math.log(post_m() / 4)) > 0.2  # a smeared edge is at another depth


def test_relative_depth_forgives_scale_and_spread():
    centers = torch.tensor([[1.0, math.e**2]])
    share = torch.tensor([0.1, 0.3, 0.9])
    teacher = torch.stack([1 - share, share]).log()[None, :, None]
    mask = torch.ones(1, 1, 3, dtype=torch.bool)
    same = relative_depth_loss(teacher, teacher, centers, mask)
    assert same.item() == pytest.approx(0, abs=1e-6)
    flipped = relative_depth_loss(teacher.flip(1), teacher, centers, mask)
    assert flipped.item() > 1
    student = torch.zeros(1, 2, 1, 3, requires_grad=True)
    relative_depth_loss(student, teacher.requires_grad_(), centers, mask).backward()
    assert teacher.grad is None and student.grad.isfinite().all()


def test_view_relations_by_hand():
    # two views of one cell: the student sees one and the same bin (cosine 1), the teacher two
    student = torch.tensor([[50.0, 0.0], [50.0, 0.0]])[:, :, None, None].requires_grad_()
    teacher = torch.tensor([[50.0, 0.0], [0.0, 50.0]])[:, :, None, None].requires_grad_()
    pairs = torch.tensor([[0, 1]])
    loss = view_relational_loss(student, teacher, pairs, cells=(1, 1))
    assert loss.item() == pytest.approx(1.0)
    assert view_relational_loss(teacher, teacher, pairs, cells=(1, 1)).item() == 0
    view_relational_loss(torch.randn_like(student) + student, teacher, pairs).backward()
    assert teacher.grad is None and student.grad.isfinite().all()


def test_view_relations_see_neither_scale_nor_other_pairs():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 4, 8, 6, 10), torch.randn(2, 4, 8, 6, 10)
    pairs = torch.tensor([[0, 1], [1, 2]]).expand(2, 2, 2)
    loss = view_relational_loss(student, teacher, pairs, cells=(2, 3))
    changed = teacher.clone()
    changed[:, 3] = 0
    assert torch.equal(loss, view_relational_loss(student, changed, pairs, cells=(2, 3)))
    alone = [view_relational_loss(student[i], teacher[i], pairs[i], cells=(2, 3)) for i in range(2)]
    assert torch.allclose(loss, sum(alone) / 2)
    no_pairs = view_relational_loss(student, teacher, torch.zeros(2, 0, 2, dtype=torch.int64))
    assert no_pairs.item() == 0


def test_losses_stay_in_float32_inside_autocast():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 8, 3, 4), torch.randn(2, 8, 3, 4)
    bin_centers = torch.arange(1.0, 9.0).expand(2, 8)
    depth_gt = torch.full((2, 3, 4), 5.0)
    pairs, mask = torch.tensor([[0, 1]]), depth_gt > 0

    def losses():
        return (
            bin_distillation_loss(student, teacher, mask),
            cross_interaction_loss(bin_centers, teacher, depth_gt, mask),
            relative_depth_loss(student, teacher, bin_centers, mask),
            view_relational_loss(student, teacher, pairs),
        )

    outside = losses()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = losses()
    assert all(torch.equal(a, b) and b.dtype == torch.float32 for a, b in zip(outside, inside))
