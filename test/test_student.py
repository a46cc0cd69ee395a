import cv2
import numpy as np
import torch

from fsmde_core.geometry import make_transform, pixel_centres, pixel_rays
from fsmde_core.network.encoder import create_encoder, import_timm
from fsmde_core.network.student import PRESETS, StudentConfig, StudentDepthNet

SMALL = StudentConfig(input_width=128, input_height=64, n_bins=16, decoder_channels=32)


def inputs(rig, config, *, rigs=1):
    small = rig.resized(config.input_width, config.input_height)
    cameras = len(rig.cameras)
    shape = (rigs, cameras, config.input_height, config.input_width, 3)
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    K = torch.from_numpy(small.K).float().expand(rigs, -1, -1, -1)
    T_ego_cam = torch.from_numpy(small.T_ego_cam).float().expand(rigs, -1, -1, -1)
    return images, K, T_ego_cam


def test_shapes_for_two_rigs_of_six(rig):
    with torch.no_grad():
        output = StudentDepthNet(SMALL).eval()(*inputs(rig, SMALL, rigs=2))
    assert output.depth.shape == output.confidence.shape == (2, 6, 64, 128)
    assert output.bin_logits.shape == (2, 6, 16, 16, 32)
    assert output.bin_centers.shape == (2, 6, 16)
    assert output.surface_logits.shape == (2, 6, 64, 128)
    assert output.depth.isfinite().all() and (output.depth > 0).all()


def test_padding_is_timm_s_own_for_every_shape():
    timm = import_timm()
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    ours = create_encoder("tf_efficientnet_lite0").eval()
    ours.load_state_dict(theirs.state_dict())
    for height, width in ((64, 128), (96, 32), (160, 224)):
        image = torch.randn(1, 3, height, width)
        with torch.no_grad():
            pairs = zip(ours(image), theirs(image))
            assert all(torch.equal(a, b) for a, b in pairs)


def test_a_camera_does_not_depend_on_the_others(rig):
    torch.manual_seed(0)
    student = StudentDepthNet(SMALL).eval()
    images, K, T_ego_cam = inputs(rig, SMALL, rigs=2)
    with torch.no_grad():
        together = student(images, K, T_ego_cam).depth
        alone = student(images[1:, 2:3], K[1:, 2:3], T_ego_cam[1:, 2:3]).depth
    assert torch.allclose(together[1:, 2:3], alone, rtol=1e-4)


def test_ray_features_are_the_geometry(rig):
    camera = rig.cameras[1].resized(128, 64)
    student = StudentDepthNet(SMALL)
    K = torch.tensor(camera.K)[None]
    T_ego_cam = torch.tensor(camera.T_ego_cam)[None]
    features = student.rays.features(K, T_ego_cam, (2, 4), 32)[0].permute(1, 2, 0).numpy()
    rays_cam = pixel_rays(camera.K, 32 * pixel_centres(4, 2))
    rays_ego = rays_cam @ camera.T_ego_cam[:3, :3].T
    assert np.allclose(features[..., :2], rays_cam[..., :2])
    unit = rays_ego / np.linalg.norm(rays_ego, axis=-1, keepdims=True)
    assert np.allclose(features[..., 4:], unit)
    # the lower row looks at the ground: depth 1.5 m / slope, at this focal length
    ground_depth = 1.5 / -rays_ego[1, :, 2]
    assert np.allclose(features[1, :, 2], 4 * (camera.K[0, 0] / 500) / ground_depth)
    assert np.allclose(features[0, :, 2], 0)  # the upper row looks at the sky
    assert np.allclose(features[..., 3], np.log(1.5))


def test_turning_the_rig_changes_only_the_direction_features(rig):
    camera = rig.cameras[0].resized(128, 64)
    rays = StudentDepthNet(SMALL).rays
    K = torch.tensor(camera.K)[None]
    turn = make_transform(cv2.Rodrigues(np.array([0, 0, 1.0]))[0], [0, 0, 0])
    before, after = (
        rays.features(K, torch.tensor(T_ego_cam)[None], (2, 4), 32)
        for T_ego_cam in (camera.T_ego_cam, turn @ camera.T_ego_cam)
    )
    assert torch.allclose(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_presets_have_the_size_of_a_light_network():
    sizes = {
        name: sum(p.numel() for p in StudentDepthNet(config).parameters()) / 1e6
        for name, config in PRESETS.items()
    }
    assert 3.0 < sizes["s"] < 3.6
    assert 4.7 < sizes["m"] < 5.4
