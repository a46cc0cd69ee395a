import pytest
import torch

from fsmde_core.network.bins import (
    BinHead,
    BinOutput,
    at_pixels,
    expected_depth,
    on_a_side,
    upsampled,
)


def head(n_bins=64):
    return BinHead(
        8, 8, n_bins=n_bins, min_depth_m=0.5, max_depth_m=200.0, canonical_focal_px=500.0
    )


def test_expected_depth_by_hand():
    # one pixel, probabilities 1/4 and 3/4 on 2 m and 10 m: 0.25 * 2 + 0.75 * 10 = 8 m
    logits = torch.tensor([1.0, 3.0]).log().reshape(1, 2, 1, 1)
    depth, _ = expected_depth(logits, torch.tensor([[2.0, 10.0]]))
    assert torch.allclose(depth, torch.tensor(8.0))


@pytest.mark.parametrize(
    ("depth_mean", "by_hand"),
    [("geometric", 2**0.25 * 10**0.75), ("harmonic", 1 / (0.25 / 2 + 0.75 / 10))],
)
def test_other_means_by_hand(depth_mean, by_hand):
    # a quarter on 2 m and three on 10 m; the confidence is of the bins alone
    logits = torch.tensor([1.0, 3.0]).log().reshape(1, 2, 1, 1)
    centers = torch.tensor([[2.0, 10.0]])
    depth, confidence = expected_depth(logits, centers, depth_mean)
    assert torch.allclose(depth, torch.tensor(by_hand))
    assert torch.equal(confidence, expected_depth(logits, centers)[1])


def test_confidence_is_one_for_a_single_bin_and_falls_with_the_spread():
    centers = torch.tensor([[1.0, torch.e]])  # log depths 0 and 1
    sure = torch.tensor([50.0, -50.0]).reshape(1, 2, 1, 1)
    _, confidence = expected_depth(sure, centers)
    assert torch.allclose(confidence, torch.tensor(1.0), atol=1e-3)
    _, confidence = expected_depth(torch.zeros(1, 2, 1, 1), centers)  # deviation 0.5
    assert torch.allclose(confidence, torch.exp(torch.tensor(-0.5)))


def test_untrained_centres_are_equal_steps_in_log_depth():
    output = head(n_bins=4)(torch.randn(2, 8, 3, 5), torch.randn(2, 8), torch.tensor([500.0, 500]))
    steps = output.bin_centers.log().diff(dim=-1)
    expected = torch.log(torch.tensor(400.0)) / 4
    assert torch.allclose(steps, expected.expand_as(steps), atol=1e-4)
    assert output.bin_logits.shape == (2, 4, 3, 5)
    assert output.depth.shape == output.confidence.shape == (2, 3, 5)


def test_an_untrained_head_guesses_some_ten_metres():
    bins = head()
    depth = bins(torch.zeros(1, 8, 2, 2), torch.randn(1, 8), torch.tensor([500.0])).depth
    assert ((depth > 5) & (depth < 20)).all()


def test_centres_increase_within_the_range_and_never_collapse_whatever_the_widths():
    bins = head()
    torch.nn.init.normal_(bins.widths[-1].weight, std=100.0)
    output = bins(torch.randn(3, 8, 2, 2), torch.randn(3, 8), torch.full((3,), 500.0))
    steps = output.bin_centers.log().diff(dim=-1)
    assert (steps > 0).all() and (steps.amax(dim=-1) < 2.8 * steps.amin(dim=-1)).all()
    assert output.bin_centers.min() > 0.5
    assert output.bin_centers.max() < 200.0


def test_twice_the_focal_length_is_twice_as_far():
    bins, pixels, pooled = head(), torch.randn(1, 8, 2, 2), torch.randn(1, 8)
    near = bins(pixels, pooled, torch.tensor([400.0])).depth
    far = bins(pixels, pooled, torch.tensor([800.0])).depth
    assert torch.allclose(far, 2 * near)


def test_a_pixel_lies_on_one_side_of_an_edge_and_never_between():
    # a near post left of a far wall; cells of 4 x 4 pixels, the edge one pixel inside a far cell
    depth = torch.tensor([[4.0, 4.0, 4.0, 40.0, 40.0, 40.0]]).expand(1, 3, 6)
    true_far = torch.arange(24) > 12
    sides = torch.where(true_far, 50.0, -50.0).expand(12, 24)
    sides = torch.nn.functional.pixel_unshuffle(sides[None, None], 4)
    output = BinOutput(torch.empty(0), torch.empty(0), depth, torch.ones(1, 3, 6))
    sharp = on_a_side(output, sides, sides, (12, 24), stride=4)
    row = sharp.depth[0, 6]
    assert torch.allclose(row[true_far], torch.tensor(40.0), rtol=1e-3)
    assert torch.allclose(row[~true_far], torch.tensor(4.0), rtol=1e-3)
    assert torch.equal(sharp.confidence, torch.ones(1, 12, 24))
    assert torch.equal(sharp.surface_logits[0, 6] > 0, true_far)
    undecided = on_a_side(output, 0 * sides, sides, (12, 24), stride=4).depth
    assert 4 <= undecided.min() and undecided.max() <= 40


def test_any_depth_of_cells_is_upsampled_as_the_networks_own():
    torch.manual_seed(0)
    depth, sides = 1 + 50 * torch.rand(2, 3, 6), torch.randn(2, 16, 3, 6)
    output = BinOutput(torch.empty(0), torch.empty(0), depth, torch.ones(2, 3, 6))
    sharp = on_a_side(output, sides, sides, (12, 24), stride=4)
    assert torch.allclose(at_pixels(depth, (12, 24), sharp.far_share), sharp.depth)
    twice = at_pixels(2 * depth, (12, 24), sharp.far_share)
    assert torch.allclose(twice, 2 * sharp.depth, rtol=1e-4)
    plain = upsampled(output, (12, 24))
    assert torch.allclose(at_pixels(depth, (12, 24), plain.far_share), plain.depth)
