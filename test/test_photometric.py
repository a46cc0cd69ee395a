"""What other images say of a depth: in a world whose depth is known exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from blocks import blocks_rig
from textured import camera_poses, render, write_drive

from fsmde_core.data.augment import AugmentConfig, augmented
from fsmde_core.data.drive import Drive, Moment, load_drive
from fsmde_core.data.drive_samples import DriveSamples
from fsmde_core.data.sources import BOTH, SPACE, TIME
from fsmde_core.distill.photometric import (
    Comparison,
    best_errors,
    photometric_loss,
    smoothness_loss,
)
from fsmde_core.distill.stream import by_camera_count

STEPS = {"step_m": 0.5, "stagger_m": 0.07}
MOMENT = 3


@pytest.fixture(scope="module")
def yard_rig():
    """Six cameras of 70 degrees every 60 degrees: neighbours overlap by ten."""
    return blocks_rig(width=160, height=96)


@pytest.fixture(scope="module")
def folder(yard_rig, tmp_path_factory):
    return write_drive(tmp_path_factory.mktemp("yard") / "drive", yard_rig, moments=8, **STEPS)


@pytest.fixture(scope="module")
def item(folder, yard_rig):
    """A moment of the drive, with its true depth."""
    poses = camera_poses(yard_rig, MOMENT, **STEPS)
    depth = [render(camera, T)[1] for camera, T in zip(yard_rig.cameras, poses)]
    item = DriveSamples(load_drive(folder))[MOMENT]
    return replace(item, depth_gt=np.stack(depth), valid=np.stack(depth) > 0)


def compared(item, places=slice(None), *, aside=()):
    """Depth [1, N, H, W], sources, and what is not the own vehicle, of an item; only sources at
    places count, none of the slices aside."""
    (batch,) = by_camera_count([item])
    seen = torch.zeros_like(batch.source_seen)
    seen[:, :, places] = batch.source_seen[:, :, places]
    for place in aside:
        seen[:, :, place] = False
    plain = batch.images if batch.plain is None else batch.plain
    arrays = batch.sources, seen, batch.source_K, batch.T_source_cam
    return batch.depth_gt, Comparison(plain, batch.K, *arrays), ~batch.mask


def loss(item, places=slice(None), *, scale=1.0):
    depth, sources, kept = compared(item, places)
    return photometric_loss(scale * depth, sources, kept).item()


@pytest.mark.parametrize(
    "places", [TIME, SPACE, BOTH, slice(None)], ids=["time", "space", "both", "all"]
)
def test_the_true_scale_looks_best(item, places):
    scales = (0.5, 0.7, 0.85, 0.93, 1.0, 1.08, 1.18, 1.4, 2.0)
    losses = [loss(item, places, scale=scale) for scale in scales]
    assert scales[int(np.argmin(losses))] == 1.0, losses
    assert min(losses) < 0.04 and losses[0] > 2 * min(losses)


def test_the_gradient_leads_to_the_true_scale(item):
    depth, sources, kept = compared(item)
    for scale, sign in ((0.9, -1), (1.1, 1)):
        log_scale = torch.tensor(np.log(scale)).float().requires_grad_()
        photometric_loss(log_scale.exp() * depth, sources, kept).backward()
        assert np.sign(log_scale.grad.item()) == sign


def test_every_image_has_the_pose_of_its_own_stamp(item, folder):
    """With one pose for all cameras of a moment neighbours no longer fit, nor across time."""
    drive = load_drive(folder)
    shared = [Moment(m.stamps_ns, np.stack(6 * [m.T_world_ego[0]])) for m in drive.moments]
    other = DriveSamples(Drive(drive.path, drive.rig, shared))[MOMENT]
    other = replace(other, depth_gt=item.depth_gt, valid=item.valid)
    for places in (SPACE, BOTH):
        assert loss(other, places) > 1.3 * loss(item, places)


def test_crops_mirrors_and_colours_leave_the_truth_the_best(item):
    config = AugmentConfig(mirror_probability=1.0, smallest_crop=0.6, keep_cameras=3)
    rng = np.random.default_rng(1)
    changed = augmented(item, config, size=(128, 64), rng=rng, dense=True)
    assert not np.array_equal(changed.images, changed.plain)
    losses = {scale: loss(changed, scale=scale) for scale in (0.8, 0.9, 1.0, 1.12, 1.25)}
    assert min(losses, key=losses.get) == 1.0, losses


def test_a_standing_vehicle_learns_nothing_from_time(yard_rig, tmp_path):
    drive = load_drive(write_drive(tmp_path / "d", yard_rig, moments=3, step_m=0.0))
    samples = DriveSamples(drive)
    assert samples.others(1) == (None, None)
    standing = samples[1]
    assert standing.source_seen[:, SPACE].any()
    assert not standing.source_seen[:, TIME].any() and not standing.source_seen[:, BOTH].any()


def test_what_does_not_move_in_the_picture_does_not_count(item):
    """Odometry says that the vehicle moved, the images of before and after that it did not."""
    sources = item.sources.copy()
    sources[:, TIME] = item.images[:, None]
    depth, frozen, _ = compared(replace(item, sources=sources), TIME)
    _, weight = best_errors(depth, frozen)
    assert weight.mean() < 0.02
    _, weight = best_errors(depth, compared(item, TIME)[1])
    assert weight.mean() > 0.5


def test_the_own_vehicle_is_no_source_and_no_target(yard_rig, tmp_path, item):
    body = np.zeros((96, 160), bool)
    body[70:] = True
    drive = load_drive(write_drive(tmp_path / "d", yard_rig, moments=8, bodies=6 * [body], **STEPS))
    hidden = DriveSamples(drive)[MOMENT]
    assert hidden.mask[:, 70:].all() and not hidden.mask[:, :70].any()
    hidden = replace(hidden, depth_gt=item.depth_gt, valid=item.valid)
    depth, sources, kept = compared(hidden, TIME)
    error, weight = best_errors(depth, sources)  # of cells of two pixels
    above = np.s_[:, :, :30]
    assert weight[above].mean() > 0.4
    assert error[above][weight[above] > 0].mean() < 0.06  # nothing black is compared with the yard
    first = photometric_loss(depth, sources, kept)
    depth[:, :, 70:] = 0.3
    assert photometric_loss(depth, sources, kept) == first


def test_without_any_source_there_is_no_loss(item):
    depth, sources, kept = compared(item, slice(0, 0))
    depth.requires_grad_()
    value = photometric_loss(depth, sources, kept)
    value.backward()
    assert value == 0 and not depth.grad.any()


def test_other_exposures_of_neighbours_are_forgiven(item):
    darker = item.sources.copy()
    darker[:, SPACE] = 0.7 * darker[:, SPACE]
    assert loss(replace(item, sources=darker), SPACE) < 1.3 * loss(item, SPACE)


def test_smooth_is_what_the_image_is_smooth_of():
    plain = torch.zeros(1, 1, 8, 8, 3, dtype=torch.uint8)
    plain[..., 4:, :] = 200
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    flat = torch.full((1, 1, 8, 8), 5.0)
    at_edge, beside = flat.clone(), flat.clone()
    at_edge[..., 4:] = 10.0
    beside[..., 2:] = 10.0
    assert smoothness_loss(flat, plain, mask) == 0
    assert smoothness_loss(beside, plain, mask) > 5 * smoothness_loss(at_edge, plain, mask) > 0
    scaled = smoothness_loss(3 * beside, plain, mask)
    assert scaled.item() == pytest.approx(smoothness_loss(beside, plain, mask).item())
    mask[..., 1:3] = True
    assert smoothness_loss(beside, plain, mask) == 0
