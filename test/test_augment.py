import numpy as np

from fsmde_core.data.augment import colour_jitter, crop_and_resize, mirrored, random_window, turned
from fsmde_core.geometry import invert_transform, project, transform_points


def pixel_of(point_ego, camera):
    point_cam = transform_points(invert_transform(camera.T_ego_cam), np.array([point_ego]))
    pixels, depth = project(point_cam, camera.K)
    return pixels[0], depth[0]


def test_a_mirrored_world_lands_in_the_mirrored_image(rig, views):
    camera = rig.cameras[1]  # front_right
    mirror, image = mirrored(camera, views[1][0])
    pixel, depth = pixel_of([12.0, -9.0, 1.0], camera)
    mirror_pixel, mirror_depth = pixel_of([12.0, 9.0, 1.0], mirror)
    assert np.allclose(mirror_pixel, [camera.width - pixel[0], pixel[1]])
    assert np.isclose(mirror_depth, depth)
    assert np.array_equal(image[:, 0], views[1][0][:, -1])
    assert np.isclose(mirror.azimuth_rad, -camera.azimuth_rad)


def test_a_crop_and_resize_keeps_points_on_their_pixels(rig, views):
    camera, point = rig.cameras[0], [12.0, 2.0, 1.0]
    pixel, depth = pixel_of(point, camera)
    cut, image = crop_and_resize(camera, views[0][0], window=(40, 20, 160, 90), size=(80, 60))
    cut_pixel, cut_depth = pixel_of(point, cut)
    assert np.allclose(cut_pixel, [(pixel[0] - 40) / 2, (pixel[1] - 20) / 1.5])
    assert np.isclose(cut_depth, depth)
    assert image.shape == (60, 80, 3)


def test_random_windows_stay_inside_and_keep_the_aspect(rig):
    camera, rng = rig.cameras[0], np.random.default_rng(0)
    for _ in range(100):
        left, top, width, height = random_window(camera, smallest=0.5, rng=rng)
        camera.cropped(left, top, width, height)  # raises if it leaves the image
        assert width >= 160
        assert abs(width / height - 16 / 9) < 0.03


def test_turning_moves_the_heading_only(rig):
    camera = rig.cameras[0]
    left = turned(camera, np.pi / 2)
    assert np.isclose(left.azimuth_rad - camera.azimuth_rad, np.pi / 2)
    assert np.isclose(left.T_ego_cam[2, 3], camera.T_ego_cam[2, 3])


def test_colour_jitter_of_strength_zero_changes_nothing(views):
    image, rng = views[0][0], np.random.default_rng(0)
    assert np.array_equal(colour_jitter(image, rng, strength=0.0), image)
    assert not np.array_equal(colour_jitter(image, rng, strength=0.3), image)
