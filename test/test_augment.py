from dataclasses import replace

import cv2
import numpy as np
import pytest

from fsmde_core.data import augment
from fsmde_core.data.augment import (
    AugmentConfig,
    as_camera_sees,
    at_size,
    augmented,
    colour_jitter,
    crop_and_resize,
    largest_window,
    mirrored,
    random_size,
    random_window,
)
from fsmde_core.data.batch import RigBatch
from fsmde_core.data.bin_map import BinMap
from fsmde_core.geometry import invert_transform, project, transform_points, unproject
from fsmde_core.rig import Camera


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


def test_a_mirrored_lens_leans_the_other_way(rig):
    """A point's pixel in the mirror world is the mirrored pixel of its twin, also with a skew."""
    for skew in (-30.0, 12.0):
        camera = replace(rig.cameras[1], K=rig.cameras[1].K + [[0, skew, 0], [0, 0, 0], [0, 0, 0]])
        mirror, _ = mirrored(camera, np.zeros((180, 320, 3), np.uint8))
        for x, y, z in ((12.0, -9.0, 1.0), (8.0, -14.0, 6.0)):
            pixel, _ = pixel_of([x, y, z], camera)
            mirror_pixel, _ = pixel_of([x, -y, z], mirror)
            assert np.allclose(mirror_pixel, [camera.width - pixel[0], pixel[1]])


def test_a_crop_and_resize_keeps_points_on_their_pixels(rig, views):
    camera, point = rig.cameras[0], [12.0, 2.0, 1.0]
    pixel, depth = pixel_of(point, camera)
    cut, image = crop_and_resize(camera, views[0][0], window=(40, 20, 160, 90), size=(80, 60))
    cut_pixel, cut_depth = pixel_of(point, cut)
    assert np.allclose(cut_pixel, [(pixel[0] - 40) / 2, (pixel[1] - 20) / 1.5])
    assert np.isclose(cut_depth, depth)
    assert image.shape == (60, 80, 3)


def test_enlarged_images_are_smooth(rig):
    ramp = np.repeat(np.arange(320, dtype=np.uint8)[None, :, None] // 2 * 2, 180, axis=0)
    camera, image = rig.cameras[0], np.repeat(ramp, 3, axis=2)
    _, large = crop_and_resize(camera, image, window=(40, 20, 64, 32), size=(448, 224))
    assert np.diff(large[100, :, 0].astype(int)).max() <= 1  # blocks would step by two


@pytest.mark.parametrize("pixel_aspect", [0.6, 1.0, 1.5])
def test_random_windows_stay_inside_and_are_not_stretched(rig, pixel_aspect):
    camera, rng = rig.cameras[0], np.random.default_rng(0)
    stretched = camera.resized(320, round(180 * pixel_aspect))  # fy / fx is the pixel_aspect
    for size in ((320, 320), (448, 256), (864, 224), (64, 96)):
        *_, widest, tallest = largest_window(stretched, size)
        assert widest == stretched.width or tallest == stretched.height
        for _ in range(50):
            window = random_window(stretched, size, smallest=0.5, rng=rng)
            cut = stretched.cropped(*window).resized(*size)  # raises if it leaves the image
            off = 1 / window[2] + 1 / window[3]  # windows are whole pixels
            assert abs(np.log(cut.K[0, 0] / cut.K[1, 1])) < off
            assert window[2] >= 0.5 * widest - 1 and window[3] >= 0.5 * tallest - 1


def test_windows_of_the_smallest_images_are_not_empty(rig):
    tiny, rng = rig.cameras[0].resized(3, 2), np.random.default_rng(0)
    for size in ((3200, 32), (32, 3200), (64, 32)):
        window = random_window(tiny, size, smallest=0.1, rng=rng)
        tiny.cropped(*window)
        assert min(window[2:]) >= 1


def test_without_crops_the_window_is_the_largest_in_the_middle(rig):
    camera, rng = rig.cameras[0], np.random.default_rng(0)
    windows = {random_window(camera, (320, 320), smallest=1.0, rng=rng) for _ in range(5)}
    assert windows == {(70, 0, 180, 180)}
    assert largest_window(camera, (640, 160)) == (0, 50, 320, 80)


def test_sizes_are_drawn_between_the_aspects_and_the_pixels():
    config = AugmentConfig(aspects=(1.0, 4.0), pixels=(0.5, 3.0))
    rng = np.random.default_rng(0)
    sizes = np.array([random_size(config, (448, 256), rng) for _ in range(300)])
    assert (sizes % 32 == 0).all()
    aspects, pixels = sizes[:, 0] / sizes[:, 1], sizes.prod(axis=1) / (448 * 256)
    for values, low, high in ((aspects, 1, 4), (pixels, 0.5, 3)):
        assert low * 0.8 < values.min() < low * 1.15 and high * 0.85 < values.max() < high * 1.25
        assert np.isclose(np.median(values), np.sqrt(low * high), rtol=0.15)  # even in logs
    assert len(np.unique(sizes, axis=0)) > 60


@pytest.mark.parametrize("default", [(448, 256), (640, 352), (32, 32), (1920, 64)])
def test_the_size_is_the_students_own_unless_asked_otherwise(default):
    rng = np.random.default_rng(0)
    assert random_size(AugmentConfig(), default, rng) == default


def test_colour_jitter_of_strength_zero_changes_nothing(views):
    image, rng = views[0][0], np.random.default_rng(0)
    assert np.array_equal(colour_jitter(image, rng, strength=0.0), image)
    assert not np.array_equal(colour_jitter(image, rng, strength=0.3), image)


def test_a_poorer_camera_shows_the_same_scene_in_other_colours(views):
    image = views[0][0]
    shown = [as_camera_sees(image, np.random.default_rng(seed), strength=1.0) for seed in range(20)]
    assert all(s.shape == image.shape and s.dtype == np.uint8 for s in shown)
    edges = [np.abs(cv2.Laplacian(cv2.blur(s, (5, 5)), cv2.CV_32F)).sum(-1) for s in shown]
    expected = np.abs(cv2.Laplacian(cv2.blur(image, (5, 5)), cv2.CV_32F)).sum(-1)
    alike = [np.corrcoef(e.ravel(), expected.ravel())[0, 1] for e in edges]
    assert np.median(alike) > 0.3  # nothing moves
    means = np.array([s.mean(axis=(0, 1)) for s in shown])
    assert means.std(axis=0).min() > 5
    again = as_camera_sees(image, np.random.default_rng(3), strength=1.0)
    assert np.array_equal(again, shown[3])


def test_jpeg_takes_from_each_colour_what_a_cameras_does():
    """JPEG keeps brightness and coarse colour: of fine detail red (0.30 of the brightness) loses
    less than blue (0.11), green (0.59) the least."""
    rng = np.random.default_rng(0)
    lost = []
    for channel in range(3):
        image = np.full((96, 128, 3), 128, np.uint8)
        image[..., channel] = rng.integers(64, 192, (96, 128))
        seen = as_camera_sees(image, np.random.default_rng(3), strength=1e-3)
        lost.append(np.abs(seen.astype(int) - image)[..., channel].mean())
    red, green, blue = lost
    assert green < red < 0.9 * blue


NOTHING = AugmentConfig(mirror_probability=0.0, smallest_crop=1.0, colour_strength=0.0)


@pytest.fixture
def item(rig, views):
    """A sample with exact depth at every seventh pixel."""
    depth_gt = np.stack([depth for _, depth in views]).astype(np.float32)
    depth_gt[:, np.arange(180) % 7 > 0] = 0
    mask = np.zeros(depth_gt.shape, bool)
    mask[:, 170:, :50] = True
    return RigBatch(
        images=np.stack([image for image, _ in views]),
        K=rig.K, T_ego_cam=rig.T_ego_cam, depth_gt=depth_gt, valid=depth_gt > 0, mask=mask,
        stamps_ns=tuple(range(6)), names=rig.names, tokens="t",
    )  # fmt: skip


def points_ego(item, name):
    i = item.names.index(name)
    points = unproject(item.depth_gt[i], item.K[i])[item.valid[i]]
    return transform_points(item.T_ego_cam[i], points)


def test_without_augmentation_only_the_size_changes(item):
    drawn = augmented(item, NOTHING, size=(320, 180), rng=np.random.default_rng(0))
    for same in (drawn, at_size(item, size=(320, 180), dense=False)):
        for name in ("images", "K", "T_ego_cam", "valid", "mask"):
            assert np.array_equal(getattr(same, name), getattr(item, name)), name
        assert np.allclose(same.depth_gt, item.depth_gt)


def test_another_shape_takes_the_middle_or_the_whole(item):
    middle = at_size(item, size=(180, 180), dense=False)
    assert np.array_equal(middle.images, item.images[:, :, 70:250])
    assert np.allclose(middle.K[:, 0, 0], middle.K[:, 1, 1])
    whole = at_size(item, size=(160, 180), dense=False, whole=True)
    assert np.allclose(whole.K, np.diag([0.5, 1, 1]) @ item.K)


def test_the_mirror_world_has_left_and_right_exchanged(item):
    config = replace(NOTHING, mirror_probability=1.0)
    mirror = augmented(item, config, size=(320, 180), rng=np.random.default_rng(0))
    assert mirror.names == item.names
    right, left = item.names.index("front_right"), item.names.index("front_left")
    assert np.array_equal(mirror.images[left], item.images[right][:, ::-1])
    assert mirror.mask[left][175, 319] and not mirror.mask[left][175, 0]
    assert mirror.stamps_ns[left] == right
    # the slot looks where its name says, and its points are those of the other side
    assert np.allclose(mirror.T_ego_cam[left][:2, 2], item.T_ego_cam[left][:2, 2])
    ours, theirs = points_ego(mirror, "front_left"), points_ego(item, "front_right") * [1, -1, 1]
    assert np.allclose(np.sort(ours, axis=0), np.sort(theirs, axis=0), atol=1e-4)


def test_points_stay_in_the_world_whatever_is_cropped(item):
    config = replace(NOTHING, smallest_crop=0.5)
    cut = augmented(item, config, size=(320, 180), rng=np.random.default_rng(3))
    assert 0.2 * item.valid.sum() < cut.valid.sum() < item.valid.sum()
    assert not np.allclose(cut.K, item.K)
    for name in item.names:
        before, after = points_ego(item, name), points_ego(cut, name)
        ahead = after[np.linalg.norm(after, axis=1) < 15][::50]
        off = np.linalg.norm(ahead[:, None] - before[None], axis=-1).min(axis=1)
        assert off.max() < 0.1  # half a pixel of the crop, at 15 m


def test_colours_are_drawn_once_a_rig_or_for_each_camera(item):
    grey = replace(item, images=np.full_like(item.images, 100))
    rig_wide = replace(NOTHING, colour_strength=0.3)
    out = augmented(grey, rig_wide, size=(320, 180), rng=np.random.default_rng(0)).images
    assert (out == out[0]).all() and (out != 100).any()
    each = replace(rig_wide, colour_per_camera=True)
    out = augmented(grey, each, size=(320, 180), rng=np.random.default_rng(0)).images
    assert len(np.unique(out[:, 0, 0], axis=0)) == 6


def test_dropped_cameras_leave_a_smaller_rig(item):
    config = replace(NOTHING, keep_cameras=4)
    draws = [
        augmented(item, config, size=(160, 90), rng=np.random.default_rng(seed)).names
        for seed in range(20)
    ]
    assert {len(names) for names in draws} == {4}
    assert len(set(draws)) > 5
    assert all(list(names) == sorted(names, key=item.names.index) for names in draws)


def test_a_rig_that_is_not_alike_on_both_sides_mirrors_too(item):
    keep = [item.names.index(name) for name in ("front", "front_left", "back_left")]
    arrays = ("images", "K", "T_ego_cam", "depth_gt", "valid", "mask")
    names = tuple(item.names[i] for i in keep)
    part = replace(item, names=names, stamps_ns=(0, 5, 4))
    part = replace(part, **{name: getattr(item, name)[keep] for name in arrays})
    config = replace(NOTHING, mirror_probability=1.0)
    mirror = augmented(part, config, size=(320, 180), rng=np.random.default_rng(0))
    assert mirror.stamps_ns == (0, 5, 4)  # every view once
    assert np.array_equal(mirror.images[1], part.images[1][:, ::-1])


def test_dense_depth_is_resampled_without_holes_and_stays_in_the_world(item, views):
    depth_gt = np.stack([depth for _, depth in views]).astype(np.float32)
    dense = replace(item, depth_gt=depth_gt, valid=depth_gt > 0)
    config = replace(NOTHING, smallest_crop=0.5, mirror_probability=1.0)
    cut = augmented(dense, config, size=(320, 180), rng=np.random.default_rng(3), dense=True)
    ground = cut.valid[:, -60:]
    assert ground.mean() > 0.999  # a scatter would leave every other row empty
    points = points_ego(cut, "front")
    on_ground = points[(points[:, 2] < 0.1) & (np.linalg.norm(points, axis=1) < 10)]
    assert len(on_ground) > 1000 and np.abs(on_ground[:, 2]).max() < 0.1


def taught(item, views, *, spread=0.07):
    """The item as a teacher at half its size knows it, and that teacher's mean depths [6, 22, 40].

    Its bins lie where a lens of its own puts them; spread is its doubt in log depth.
    """
    depth_gt = np.stack([depth for _, depth in views]).astype(np.float32)
    depth_gt[depth_gt == 0] = 150
    edges = np.geomspace(0.5, 200, 65)
    centers = np.sqrt(edges[1:] * edges[:-1])[None] * item.K[:, 0, 0, None] / 500 * 160 / 320
    seen = depth_gt[:, 2::4, 2::4]  # what a teacher at half the size has at its stride of 4
    seen = np.stack([cv2.resize(d, (40, 22), interpolation=cv2.INTER_NEAREST) for d in seen])
    off = np.log(seen[:, None] / centers[..., None, None]) / spread
    logits = (-0.5 * off**2).astype(np.float32)
    item = replace(
        item, depth_gt=depth_gt, valid=depth_gt > 0,
        teacher_logits=logits, teacher_centers=centers.astype(np.float32),
    )  # fmt: skip
    return item, mean_depth(logits, centers)


def probabilities(logits):
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    return probs / probs.sum(axis=1, keepdims=True)


def mean_depth(logits, centers):
    return (probabilities(logits) * centers[..., None, None]).sum(axis=1)


@pytest.mark.parametrize("size", [(320, 180), (180, 180), (320, 96)])
def test_a_teachers_bins_follow_the_pixels_and_stay_where_they_lie(item, views, size):
    item, _ = taught(item, views)
    config = replace(NOTHING, smallest_crop=0.5, mirror_probability=1.0)
    rng = np.random.default_rng(3)
    cut = augmented(item, config, size=size, rng=rng, dense=True)
    assert cut.teacher_logits.shape == (6, 64, size[1] // 4, size[0] // 4)
    zoom = cut.K[:, 0, 0] / item.K[:, 0, 0]
    assert zoom.max() > 1.3
    assert np.array_equal(cut.teacher_centers, item.teacher_centers)  # of six lenses alike
    near = cut.depth_gt[:, 2::4, 2::4] < 30  # the last bin is at 45 m: beyond it none is right
    depth = mean_depth(cut.teacher_logits, cut.teacher_centers)
    error = np.log(depth / cut.depth_gt[:, 2::4, 2::4])[near]
    assert np.median(np.abs(error)) < 0.03  # a bin is 0.09 wide; a shift by one would show


@pytest.mark.parametrize("spread", [0.07, 0.5])
@pytest.mark.parametrize("share", [0.5, 0.75, 0.9])
def test_a_crop_teaches_the_same_depths_far_and_near(item, views, share, spread):
    item, before = taught(item, views, spread=spread)
    view = augment._View.of(item, 0)
    width, height = round(320 * share), round(176 * share)
    window = (160 - width // 2, 90 - height // 2, width, height)
    bins = view.cropped(window, (320, 176), dense=True).bins
    mean = mean_depth(bins.logits[None], bins.centers[None])[0]
    scale = 40 / 320, 22 / 180
    rows, columns = (
        (start + (np.arange(n) + 0.5) * side / n) * s - 0.5
        for start, side, n, s in (
            (window[1], height, 44, scale[1]),
            (window[0], width, 80, scale[0]),
        )
    )
    expected = cv2.remap(
        before[0].astype(np.float32),
        *(m.astype(np.float32) for m in np.meshgrid(columns, rows)),
        cv2.INTER_LINEAR,
    )
    nearest, farthest = np.quantile(expected, [0.1, 0.9])
    for part in (expected <= nearest, expected >= farthest):
        assert abs(mean[part].mean() / expected[part].mean() - 1) < 0.005  # was 16 % too far
    assert np.abs(mean / expected - 1).mean() < 0.002  # OpenCV knows 32nds of a pixel


def test_a_crop_loses_no_probability(item, views):
    item, _ = taught(item, views, spread=0.3)
    view = augment._View.of(item, 0)
    # all of the image at another size: what each bin has over the image stays
    bins = view.cropped((0, 0, 320, 180), (640, 360), dense=True).bins
    had = probabilities(item.teacher_logits[:1])[0].mean(axis=(1, 2))
    assert np.allclose(np.exp(bins.logits).sum(axis=0), 1, atol=1e-4)
    assert np.allclose(np.exp(bins.logits).mean(axis=(1, 2)), had, rtol=0.05, atol=1e-4)
    # and an edge is two surfaces, none in between
    step = np.full((1, 64, 2, 2), -30.0, np.float32)
    step[0, 10, :, 0] = step[0, 50, :, 1] = 0.0
    sharp = BinMap(step[0], np.geomspace(0.5, 200, 64).astype(np.float32))
    camera = Camera("c", "c", 8, 8, np.diag([8.0, 8.0, 1.0]), np.eye(4))
    between = np.exp(sharp.seen_by(camera, camera.resized(32, 32), window=(0, 0, 8, 8)).logits)
    assert np.allclose(between[[10, 50]].sum(axis=0), 1, atol=1e-4)
