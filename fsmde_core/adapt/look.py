"""What a drive is, in a table, before anything is learnt from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fsmde_core.adapt.doubts import Fit
from fsmde_core.adapt.source import Source, movement
from fsmde_core.data.drive import Drive
from fsmde_core.geometry import invert_transform, pixel_rays, project, transform_points
from fsmde_core.rig import Rig
from fsmde_core.tables import table

OVERLAP_M = 15.0  # where it is asked what a neighbour sees
GRID = 24  # points across the image


def summary(source: Source, chosen: int, moments: int) -> dict:
    """What stands in a report of one source, as JSON has it: of the moments chosen some may not be
    there, as their images are broken."""
    how, notes = movement(source), list(source.notes)
    if moments < chosen:
        notes.append(f"{chosen - moments} of {chosen} moments are left out: an image is broken")
    return {
        "name": source.name,
        "motion": source.motion,
        "seconds": round(how.seconds, 1),
        "metres": round(how.metres, 1),
        "in_motion": round(how.moving, 3),
        "moments": moments,
        "start_ns": int(source.stamps_ns[0][0]),
        "sizes": [f"{camera.width}x{camera.height}" for camera in source.rig.cameras],
        "rates_hz": [round(rate, 2) for rate in source.rates_hz],
        "notes": notes,
    }


def described(drive: Drive, sources: Sequence[Mapping], fit: Fit) -> str:
    """A table of the cameras, and a line for each source and for what fits."""
    late_ms = np.median([_late_ms(moment.stamps_ns) for moment in drive.moments], axis=0)
    shared, rows = overlaps(drive.rig), []
    for i, camera in enumerate(drive.rig.cameras):
        rates = "/".join(sorted({f"{source['rates_hz'][i]:.1f}" for source in sources}))
        angle, kept = fit.angles_deg[i, i], f"{camera.width}x{camera.height}"
        given = sources[0]["sizes"][i]
        rows.append(
            [
                camera.name,
                kept if given == kept else f"{given} as {kept}",
                f"{np.degrees(camera.horizontal_fov_rad):.0f} deg",
                f"{np.degrees(camera.azimuth_rad):+.0f} deg, {camera.T_ego_cam[2, 3]:.2f} m up",
                f"{rates} Hz",
                f"{late_ms[i]:.0f} ms",
                f"{shared[i]:.0%}",
                f"{angle:.0f} deg" if np.isfinite(angle) else "-",
            ]
        )
    heads = ["camera", "size", "sees", "looks", "rate", "fires after", "overlap", "motion off by"]
    lines = [table(heads, rows), ""]
    for source in sources:
        lines.append(
            f"{source['name']}: {source['metres']:.0f} m in {source['seconds']:.0f} s by "
            f"{source['motion']}, {source['in_motion']:.0%} of the time in motion, of "
            f"which {source['moments']} moments are taken"
        )
        lines += [f"! {note}" for note in source["notes"]]
    scale = "too little moves to tell"
    if np.isfinite(fit.scale):
        scale = f"times {fit.scale:.2f} fits best (1 is metres), half of the points say within "
        scale += f"+-{fit.spread:.0%}"
    if all(camera.body is None for camera in drive.rig.cameras):
        lines.append("! no mask: where cameras see the own vehicle, it is learnt from; fsmde-mask")
    lines.append(f"unit of odometry, by the network's own depths: {scale}")
    return "\n".join(lines)


def where(drive: Drive, sources: Sequence[Mapping], moments: Sequence[int]) -> str:
    """From when to when some moments of a drive are, in each of its sources, in words."""
    spans, first = [], 0
    for source in sources:
        inside = [m for m in moments if first <= m < first + source["moments"]]
        first += source["moments"]
        if inside:
            ends = (
                drive.moments[m].stamps_ns[0] - source["start_ns"] for m in (inside[0], inside[-1])
            )
            from_s, to_s = (ns / 1e9 for ns in ends)
            until = f" to {to_s:.1f}" if len(inside) > 1 else ""
            spans.append(f"second {from_s:.1f}{until} of {source['name']}")
    return " and ".join(spans)


def _late_ms(stamps_ns: Sequence[int]) -> list[float]:
    return [(stamp - min(stamps_ns)) / 1e6 for stamp in stamps_ns]


def overlaps(rig: Rig) -> list[float]:
    """Of each camera the share of its image that a neighbour sees, of a wall OVERLAP_M away."""
    seen = [np.zeros(GRID * GRID, bool) for _ in rig.cameras]
    for i, j in (*rig.neighbours(), *((j, i) for i, j in rig.neighbours())):
        a, b = rig.cameras[i], rig.cameras[j]
        steps = (np.arange(GRID) + 0.5) / GRID
        grid = np.stack(np.meshgrid(steps * a.width, steps * a.height), axis=-1).reshape(-1, 2)
        rays = pixel_rays(a.K, grid)
        points = OVERLAP_M * rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        T_b_a = invert_transform(b.T_ego_cam) @ a.T_ego_cam
        pixels, depth = project(transform_points(T_b_a, points), b.K)
        inside = ((pixels >= 0) & (pixels < (b.width, b.height))).all(axis=-1)
        seen[i] |= inside & (depth > 0)
    return [float(of.mean()) for of in seen]
