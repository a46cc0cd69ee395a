"""Run by a Python that has nuscenes-devkit: LiDAR as the devkit projects it, and its splits.

python devkit_projection.py ROOT VERSION OUT.npz
"""

import sys

import numpy as np
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.splits import create_splits_scenes

read_float32 = LidarPointCloud.from_file.__func__


def read_float64(cls, file_name):
    """The devkit turns float32 points through the map frame, 1 km away: that alone is 0.1 mm."""
    cloud = read_float32(cls, file_name)
    cloud.points = cloud.points.astype(np.float64)
    return cloud


def main(root, version, out):
    devkit = NuScenes(version=version, dataroot=root, verbose=False)
    result = {}
    for precision, reader in (("float32", read_float32), ("float64", read_float64)):
        LidarPointCloud.from_file = classmethod(reader)
        for sample in devkit.sample:
            for channel, token in sample["data"].items():
                if channel.startswith("CAM"):
                    pixels, depths, _ = devkit.explorer.map_pointcloud_to_image(
                        sample["data"]["LIDAR_TOP"], token, min_dist=0.0
                    )
                    result[f"{precision} {channel} pixels"] = pixels[:2].T
                    result[f"{precision} {channel} depths"] = depths
        sample = devkit.sample[0]
        lidar = devkit.get("sample_data", sample["data"]["LIDAR_TOP"])
        if lidar["prev"]:
            cloud, _ = LidarPointCloud.from_file_multisweep(
                devkit, sample, "LIDAR_TOP", "LIDAR_TOP", nsweeps=2
            )
            result[f"{precision} accumulated"] = cloud.points[:3].T
    for name, scenes in create_splits_scenes().items():
        result[f"split {name}"] = np.array(sorted(scenes))
    np.savez(out, **result)


if __name__ == "__main__":
    main(*sys.argv[1:])
