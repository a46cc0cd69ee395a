import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from fsmde_core.data import ddad, nuscenes
from fsmde_core.data.batch import BodyMasks, RigDataset, collate
from fsmde_core.data.sample import DatasetError, LidarSweep, Sample
from fsmde_core.distill.config import DataConfig
from fsmde_core.distill.stream import open_split
from fsmde_core.geometry import make_transform
from fsmde_core.rig import Camera, Rig, save_rig

FORWARD = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]  # optical axes in the ego frame


@pytest.fixture
def moving(tmp_path):
    """One camera at the ego's origin; two sweeps, the vehicle 1 m further on at the second."""
    K = [[10.0, 0, 8], [0, 10.0, 4], [0, 0, 1]]
    camera = Camera("front", "front_optical", 16, 8, K, make_transform(FORWARD, [0, 0, 0]))
    cv2.imwrite(str(tmp_path / "front.png"), np.full((8, 16, 3), 7, np.uint8))
    here, there = make_transform(np.eye(3), [0, 0, 0]), make_transform(np.eye(3), [1.0, 0, 0])
    past = LidarSweep(tmp_path / "past", 0, here, np.eye(4))
    now = LidarSweep(tmp_path / "now", 50, there, np.eye(4))
    files, stamps = (tmp_path / "front.png",), (50,)
    return Sample("scene-1", "abc", Rig((camera,)), files, stamps, there[None], now, (past,))


def points(sweep):
    """now: a point 10 m ahead; past: its own bonnet, and a point 10 m ahead, now 9 m, 3 m left."""
    clouds = {"now": [[10.0, 0, 0]], "past": [[0.5, 0.0, 0.0], [10.0, 3.0, 0]]}
    return np.array(clouds[sweep.file.name])


def test_sweeps_accumulate_with_the_vehicles_motion_taken_out(moving):
    item = RigDataset([moving], points)[0]
    rows, columns = np.nonzero(item.valid[0])
    # pixel 8 - 10 * 3 / 9 = 4.67 for the old point, 8 for the new one
    assert list(zip(rows, columns)) == [(4, 4), (4, 8)]
    assert item.depth_gt[0, 4, 4] == pytest.approx(9.0)
    assert item.depth_gt[0, 4, 8] == pytest.approx(10.0)
    assert item.images.shape == (1, 8, 16, 3) and item.images.max() == 7
    assert not item.mask.any()


def test_another_size_keeps_points_on_their_places(moving):
    item = RigDataset([moving], points, size=(8, 4))[0]
    assert item.K[0, 0, 0] == 5 and item.images.shape == (1, 4, 8, 3)
    assert item.depth_gt[0, 2, 4] == pytest.approx(10.0)
    assert item.depth_gt[0, 2, 2] == pytest.approx(9.0)


def test_samples_stack_and_become_tensors(moving):
    item = RigDataset([moving], points)[0]
    batch = collate([item, item]).mapped(torch.from_numpy)
    assert batch.images.shape == (2, 1, 8, 16, 3) and batch.images.dtype == torch.uint8
    assert batch.depth_gt.dtype == torch.float32 and batch.valid.dtype == torch.bool
    assert batch.stamps_ns == ((50,), (50,))
    assert batch.names == ("front",) and batch.tokens == ("abc", "abc")
    loader = torch.utils.data.DataLoader(RigDataset([moving], points), collate_fn=collate)
    assert next(iter(loader)).tokens == ("abc",)


def test_an_image_of_another_size_is_named(moving, tmp_path):
    cv2.imwrite(str(tmp_path / "front.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DatasetError, match="front.png is 4x4, its calibration says 16x8"):
        RigDataset([moving], points)[0]


def test_masks_by_group_of_the_scene(tmp_path):
    (tmp_path / "mask_idx_dict.json").write_text(json.dumps({"150": 2}))
    (tmp_path / "2").mkdir()
    image = np.full((8, 16), 255, np.uint8)
    image[6:] = 0
    cv2.imwrite(str(tmp_path / "2" / "front_mask.png"), image)
    mask = BodyMasks(tmp_path)("000150", "front")
    assert mask[6:].all() and not mask[:6].any()
    with pytest.raises(DatasetError, match="knows no scene '000151'"):
        BodyMasks(tmp_path)("000151", "front")
    with pytest.raises(DatasetError, match="2/left_mask.png is missing"):
        BodyMasks(tmp_path)("000150", "left")


@pytest.fixture
def rig_with_masks(tmp_path):
    """A rig file: front, at twice the images' size, sees its vehicle below, left does not."""
    body = np.zeros((16, 32), bool)
    body[12:] = True
    K = [[20.0, 0, 16], [0, 20.0, 8], [0, 0, 1]]
    pose = make_transform(FORWARD, [0, 0, 0])
    front = Camera("front", "front_optical", 32, 16, K, pose, body)
    left = Camera("left", "left_optical", 32, 16, K, pose)
    save_rig(Rig((front, left)), tmp_path / "own" / "rig.yml")
    return tmp_path / "own" / "rig.yml"


def test_masks_of_a_rig_file(moving, rig_with_masks):
    masks = BodyMasks(rig_with_masks)
    assert not masks("any scene", "left").any()
    for size, first in ((None, 6), ((8, 4), 3)):
        item = RigDataset([moving], points, size=size, masks=masks)[0]
        assert item.mask[0, first:].all() and not item.mask[0, :first].any()
    with pytest.raises(DatasetError, match="rig.yml has no camera 'back'; it has front, left"):
        masks("any scene", "back")


def test_a_rig_file_whose_mask_is_gone_is_named(rig_with_masks):
    (rig_with_masks.parent / "front_mask.png").unlink()
    with pytest.raises(DatasetError, match="rig.yml: camera front: mask .*front_mask.png is miss"):
        BodyMasks(rig_with_masks)
    with pytest.raises(DatasetError, match="none.yaml: No such file"):
        BodyMasks(rig_with_masks.with_name("none.yaml"))


def test_the_trainer_reads_the_masks_of_a_rig_file(nuscenes_root, tmp_path):
    cameras = nuscenes.read_keyframes(nuscenes_root, "v1.0-mini")[0].rig.cameras
    body = np.zeros((900, 1600), bool)
    body[450:] = True
    save_rig(Rig((replace(cameras[0], body=body), *cameras[1:])), tmp_path / "rig.yaml")
    data = DataConfig(
        kind="nuscenes",
        train=str(nuscenes_root),
        train_split="all",
        version="v1.0-mini",
        masks=str(tmp_path / "rig.yaml"),
        size=(160, 90),
    )
    item = open_split(data, train=True)[0]
    assert item.mask[0, 45:].all() and not item.mask[0, :45].any() and not item.mask[1:].any()


def test_real_masks(ddad_scene, nuscenes_root):
    shared = nuscenes_root.parent
    samples = ddad.read_dataset(shared / "ddad_scene", split="val")
    masks = BodyMasks(shared / "masks_ddad")
    item = RigDataset(samples, ddad.read_points, masks=masks, size=(640, 384))[0]
    shares = item.mask.mean(axis=(1, 2))
    assert np.argmin(shares) == 0 and (shares < 0.3).all() and shares.max() > 0.02
    keyframes = nuscenes.read_keyframes(nuscenes_root, "v1.0-mini")
    masks = BodyMasks(shared / "masks_nuscenes")
    item = RigDataset(keyframes, nuscenes.read_points, masks=masks, size=(640, 352))[0]
    assert dict(zip(item.names, item.mask.any(axis=(1, 2))))["CAM_FRONT"] == False  # noqa: E712
    assert item.mask[item.names.index("CAM_BACK"), -1].any()  # the boot, at the bottom


def test_valid_lidar_pixels_at_native_resolution(nuscenes_root, ddad_scene):
    keyframes = nuscenes.read_keyframes(nuscenes_root, "v1.0-mini")
    item = RigDataset(keyframes, nuscenes.read_points)[0]
    assert item.valid.sum(axis=(1, 2)).tolist() == [3059, 3079, 3376, 4825, 4096, 3699]
    item = RigDataset(ddad.read_scene(ddad_scene), ddad.read_points)[1]
    assert item.images.shape == (3, 1216, 1936, 3)
    assert item.valid.sum(axis=(1, 2)).tolist() == [4779, 10718, 10165]
