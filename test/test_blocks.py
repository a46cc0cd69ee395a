import numpy as np
from blocks import render_blocks, write_blocks

from fsmde_core.data.sample import read_image


def test_depth_is_along_the_optical_axis(rig):
    _, depth = render_blocks(rig.cameras[0])
    # lowest row: the ray falls 0.5 * 180 / 228.5 a metre, the camera is 1.5 m up
    camera = rig.cameras[0]
    slope = (179.5 - camera.K[1, 2]) / camera.K[1, 1]
    assert np.allclose(depth[-1], 1.5 / slope, rtol=1e-6)
    assert (depth[0, :] >= 0).all() and (depth == 0).any()  # there is sky


def test_driving_on_brings_the_block_closer(rig):
    camera = rig.cameras[0]
    row, column = 88, 160  # the block 45 m ahead, just below the horizon... its rear face is 42.5 m
    here, there = (render_blocks(camera, travelled_m=x)[1][row, column] for x in (0.0, 10.0))
    assert np.isclose(here - there, 10.0, atol=1e-4)


def test_a_written_drive_has_its_images_and_stamps(tmp_path):
    samples = write_blocks(tmp_path, frames=1)
    assert len(samples) == 1
    assert len(set(samples[0].stamps_ns)) == len(samples[0].rig.cameras) == 6
    camera = samples[0].rig.cameras[0]
    assert read_image(samples[0].image_files[0]).shape == (camera.height, camera.width, 3)
