"""What is odd about where a camera sits and looks: most often axes of another convention."""

from __future__ import annotations

import numpy as np

from fsmde_core.rig import Camera

HEIGHT_M = (0.2, 5.0)  # of cameras on a vehicle, above the ground
STEEP_DEG = 60.0  # no camera that sees around a vehicle looks up or down by more
OPTICAL = "optical axes have x right, y down, z forward; body axes x forward, z up"


def pose_doubts(camera: Camera, base_frame: str) -> list[str]:
    """Where a camera hardly sits like that on a vehicle."""
    found, R = [], camera.T_ego_cam[:3, :3]
    steep = np.rad2deg(np.arcsin(np.clip(R[2, 2], -1, 1)))
    if np.allclose(R, np.eye(3), atol=1e-3):
        found.append(f"its rotation in {base_frame} is the identity: {OPTICAL}")
    elif abs(steep) > STEEP_DEG:
        where = "up" if steep > 0 else "down"
        found.append(f"its optical axis points {where} by {abs(steep):.0f} degrees: {OPTICAL}")
    height_m = camera.T_ego_cam[2, 3]
    if not HEIGHT_M[0] <= height_m <= HEIGHT_M[1]:
        found.append(
            f"it sits {height_m:.2f} m above {base_frame}: z = 0 should be the ground, and the "
            f"translation that from {base_frame} to the camera, in metres"
        )
    return [f"camera {camera.name}: {text}" for text in found]
