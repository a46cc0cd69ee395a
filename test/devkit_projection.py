"""Run by a Python that has nuscenes-devkit: LiDAR as the devkit projects it, per camera, to npz.

python devkit_projection.py ROOT VERSION OUT.npz
"""

import sys

import numpy as np
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.geometry_utils import view_points
from nuscenes.utils.splits import create_splits_scenes
from PIL import Image


def main(root, version, out):
    devkit = NuScenes(version=version, dataroot=root, verbose=False)
    # The explorer returns pixels only together with the image; it need not be decoded for that.
    Image.Image.load = lambda self: None
    result = {}
    for sample in devkit.sample:
        lidar = sample["data"]["LIDAR_TOP"]
        for channel, token in sample["data"].items():
            if not channel.startswith("CAM"):
                continue
            pixels, depths, image = devkit.explorer.map_pointcloud_to_image(
                pointsensor_token=lidar, camera_token=token, min_dist=0.0
            )
            result[f"{channel} pixels"], result[f"{channel} depths"] = pixels[:2].T, depths
    for name, scenes in create_splits_scenes().items():
        result[f"split {name}"] = np.array(sorted(scenes))
    np.savez(out, **result)


if __name__ == "__main__":
    main(*sys.argv[1:])
