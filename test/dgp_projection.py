"""Run by a Python that has TRI's dgp: LiDAR as dgp projects it, per sample and camera, to npz.

python dgp_projection.py scene_dataset.json SPLIT OUT.npz
"""

import sys

import dgp.utils.camera
import dgp.utils.pose
import numpy as np
from dgp.datasets import SynchronizedSceneDataset
from dgp.utils.camera import Camera


class Float64Numpy:
    """dgp rounds poses in the world, 500 m away, and K to float32: 5e-3 px. This leaves it out."""

    float32 = staticmethod(np.float64)

    def __getattr__(self, name):
        return getattr(np, name)


def main(dataset_json, split, out):
    result = project(dataset_json, split, "float32")
    dgp.utils.camera.np = dgp.utils.pose.np = Float64Numpy()
    np.savez(out, **result, **project(dataset_json, split, "float64"))


def project(dataset_json, split, precision):
    names = ["LIDAR", *(f"CAMERA_{number:02d}" for number in (1, 5, 6))]
    dataset = SynchronizedSceneDataset(dataset_json, split=split, datum_names=names)
    result = {}
    for number, (data,) in enumerate(dataset):
        by_name = {datum["datum_name"]: datum for datum in data}
        lidar = by_name.pop("LIDAR")
        points_world = lidar["pose"] * lidar["point_cloud"][:, :3].astype(np.float64)
        for name, image in by_name.items():
            points_cam = image["pose"].inverse() * points_world
            points_cam = points_cam[points_cam[:, 2] > 0]
            key = f"{precision} {number} {name}"
            result[f"{key} pixels"] = Camera(K=image["intrinsics"]).project(points_cam)
            result[f"{key} depths"] = points_cam[:, 2]
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
