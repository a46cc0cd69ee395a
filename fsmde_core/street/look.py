"""How a make of camera turns light into a picture: what it meters, its tone curve, its JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MIDDLE_GREY = 0.25
METERINGS = ("scene", "ground", "camera")
SUBSAMPLINGS = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


@dataclass(frozen=True)
class Look:
    """What all cameras of a rig have in common; the defaults are the town's camera."""

    metering: str = "scene"
    """scene: all images of the rig; ground: without the sky, which then may be blown; camera: each
    camera for itself."""
    grey: float = MIDDLE_GREY
    """Light that the log mean of what is metered is brought to."""
    stops: float = 0.18
    """One sigma between cameras, around the metered value."""
    balance: float = 0.025
    """One sigma of a channel's gain between cameras."""
    shutter: float = 1.0
    """Times sensor.SHUTTER_S."""
    noise: float = 1.0
    tone: str = "filmic"
    """One of CURVES."""
    gamma: float = 1.0
    """On top of the display's 2.2."""
    contrast: float = 0.0
    """-1 to 1, around the middle of the picture's range."""
    black: float = 0.0
    """Value that becomes black; below 0 nothing does."""
    saturation: float = 1.0
    sharpening: float = 0.0
    """Share of the detail that is added again; halos show above about 0.5."""
    quality: int | None = None
    """Of the JPEG; None: drawn anew for each image, 86 to 97."""
    subsampling: str = "4:2:0"

    def gains(self, radiances: list[np.ndarray], depths: list, own: list) -> list[float]:
        """Each camera's gain, from radiance [H, W, 3], depth [H, W] and own vehicle [H, W]."""
        masks = own
        if self.metering == "ground":
            masks = [mask | (depth == 0) for mask, depth in zip(own, depths)]
            masks = own if all(mask.all() for mask in masks) else masks
        if self.metering == "camera":
            return [meter([r], [m], self.grey) for r, m in zip(radiances, masks)]
        return [meter(radiances, masks, self.grey)] * len(radiances)

    def developed(self, light: np.ndarray) -> np.ndarray:
        """The picture [H, W, 3] float32, 0 to 1, of exposed light [H, W, 3]."""
        tone = CURVES[self.tone](light)
        picture = cv2.pow(np.clip(tone, 0, 1), self.gamma / 2.2)
        if self.black or self.contrast:
            picture = np.clip((picture - self.black) / (1 - self.black), 0, 1)
            picture = picture + self.contrast * (picture * picture * (3 - 2 * picture) - picture)
        if self.saturation != 1:
            grey = (picture @ np.float32([0.3, 0.59, 0.11]))[..., None]
            picture = grey + self.saturation * (picture - grey)
        if self.sharpening:
            soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
            picture = picture + self.sharpening * (picture - soft)
        return np.clip(picture, 0, 1)


def _filmic(light: np.ndarray) -> np.ndarray:
    """Curve of Narkowicz (2015)."""
    return light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)


CURVES = {
    "filmic": _filmic,
    "linear": lambda light: light * 1.1,  # clips: a cheap camera's skies are white
    "shoulder": lambda light: light * (1 + light / 9) / (0.75 + light),
    "wide": lambda light: np.log1p(10 * light) / np.log1p(45.0),  # an HDR sensor's, flat
}
TOWN_LOOK = Look()


def draw_look(rng: np.random.Generator) -> Look:
    """A make of camera, anything from a dash camera to a film maker's.

    Most are darker than the town's, as real ones are (docs/street.md).
    """
    metering, colourless = str(rng.choice(METERINGS, p=[0.35, 0.4, 0.25])), rng.random() < 0.04
    darkest, brightest = (0.1, 0.4) if metering == "ground" else (0.06, 0.25)
    return Look(
        metering=metering,
        grey=float(np.exp(rng.uniform(np.log(darkest), np.log(brightest)))),
        stops=rng.uniform(0.1, 0.5),
        balance=rng.uniform(0.01, 0.08),
        shutter=float(np.exp(rng.uniform(np.log(0.3), np.log(4.0)))),
        noise=float(np.exp(rng.uniform(np.log(0.15), np.log(2.0)))),
        tone=str(rng.choice(list(CURVES), p=[0.35, 0.25, 0.25, 0.15])),
        gamma=float(np.exp(rng.normal(0, 0.12))),
        contrast=rng.uniform(-0.2, 0.9),
        black=rng.uniform(-0.04, 0.12),
        saturation=0.0 if colourless else rng.uniform(0.5, 1.4),
        sharpening=max(0.0, rng.uniform(-1.0, 0.9)),
        quality=int(rng.integers(60, 98)),
        subsampling=str(rng.choice(list(SUBSAMPLINGS), p=[0.7, 0.15, 0.15])),
    )


def meter(radiances: list[np.ndarray], masks: list[np.ndarray], grey: float) -> float:
    """Gain that brings the log mean of all unmasked pixels of some cameras to a light."""
    logs = [np.log(np.clip(r.mean(axis=2), 2e-3, 6.0))[~m] for r, m in zip(radiances, masks)]
    means = [v.mean() for v in logs if v.size]
    return min(grey / float(np.exp(np.mean(means))), 5.0) if means else 1.0
