import pytest
import torch

from fsmde_core.losses import silog_loss


def test_silog_by_hand():
    # g = log 2 and 0: mean = variance of halves: Var = (log 2 / 2)^2, mean = log 2 / 2
    depth, depth_gt = torch.tensor([2.0, 5.0]), torch.tensor([1.0, 5.0])
    half = torch.log(torch.tensor(2.0)) / 2
    expected = 10 * torch.sqrt(half**2 * 1.15)
    assert torch.allclose(silog_loss(depth, depth_gt, depth_gt > 0), expected, atol=1e-5)


def test_a_common_scale_costs_less_than_scatter():
    depth_gt = torch.tensor([1.0, 5.0, 20.0])
    valid = depth_gt > 0
    scaled = silog_loss(2 * depth_gt, depth_gt, valid)
    scattered = silog_loss(depth_gt * torch.tensor([2.0, 0.5, 2.0]), depth_gt, valid)
    assert scaled < 0.5 * scattered


def test_pixels_that_are_not_valid_do_not_count():
    depth = torch.tensor([2.0, 5.0, 123.0])
    depth_gt = torch.tensor([1.0, 5.0, 0.0])
    with_third = silog_loss(depth, depth_gt, depth_gt > 0)
    assert torch.equal(with_third, silog_loss(depth[:2], depth_gt[:2], depth_gt[:2] > 0))


def test_no_valid_pixel_gives_zero_and_a_zero_gradient():
    depth = torch.tensor([2.0, 5.0], requires_grad=True)
    loss = silog_loss(depth, torch.zeros(2), torch.zeros(2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert depth.grad.tolist() == [0, 0]


def test_a_perfect_prediction_has_a_finite_gradient():
    depth = torch.tensor([2.0, 5.0], requires_grad=True)
    silog_loss(depth, depth.detach(), depth > 0).backward()
    assert depth.grad.isfinite().all()
    assert silog_loss(depth, depth.detach(), depth > 0).item() == pytest.approx(0, abs=1e-2)
