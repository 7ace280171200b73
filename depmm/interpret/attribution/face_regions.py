"""How much of a map over a face lies on its brows, eyes, nose, mouth and the rest of it."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull

from depmm.config import CROP_SIZE

LANDMARKS = 478
# MediaPipe's own groups of landmarks (FaceLandmarksConnections); left and right are the person's
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
NOSE = (
    *(168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 97, 326, 327, 294, 278, 344, 440, 275, 45, 220),
    *(115, 48, 64),
)
MOUTH = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
)
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)
RIGHT_BROW = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)
LEFT_BROW = (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)

REGIONS = ("outside", "forehead", "cheeks_jaw", "nose", "mouth", "eyes", "brows")
# drawn in this order, each over those before
PARTS = (
    ("nose", NOSE),
    ("mouth", MOUTH),
    ("eyes", RIGHT_EYE),
    ("eyes", LEFT_EYE),
    ("brows", RIGHT_BROW),
    ("brows", LEFT_BROW),
)


def face_regions(maps: ArrayLike, landmarks: ArrayLike) -> pd.DataFrame:
    """MicroBatch a map over face crops out among regions of the face.

    A region is the convex hull of its landmarks. What is left of the face's oval is forehead above
    the middle of the brows, else cheeks and jaw. Maps of small crops are coarse beside an eye or a
    brow: read ``share`` against ``area``, what an even map would have there.

    Parameters
    ----------
    maps : [N, height, width], not negative, as ``grad_cam`` gives them
    landmarks : [N, 478, 2] in pixels of the 224 x 224 crop, as ``SessionDataset.landmarks`` gives

    Returns
    -------
    one row a map and region, shares of a map sum to 1: ``number`` (of the map), ``region``,
    ``share`` (of the map's mass; null for a map without any) and ``area`` (share of the crop)

    Raises
    ------
    ValueError : shapes that do not fit, or a frame without a face
    """
    values, points = np.asarray(maps, dtype=np.float32), np.asarray(landmarks, dtype=float)
    if values.ndim != 3 or points.shape != (len(values), LANDMARKS, 2):
        raise ValueError(
            f"face_regions: maps {values.shape}, landmarks {points.shape}: give [N, height, width] "
            f"and [N, {LANDMARKS}, 2], of the same crops"
        )
    still = np.ptp(points, axis=(1, 2)) == 0 if len(points) else np.zeros(0, bool)
    if still.any():
        raise ValueError(
            f"face_regions: landmarks of map {int(still.argmax())} are all the same: its frame "
            "shows no face; leave it out"
        )
    tables = [pd.DataFrame({"number": [], "region": [], "share": [], "area": []})]
    for number, (one, face) in enumerate(zip(values, points, strict=True)):
        region = label_regions(face).ravel()
        large = Image.fromarray(one).resize((CROP_SIZE, CROP_SIZE), Image.Resampling.BILINEAR)
        mass = np.bincount(region, np.asarray(large, dtype=float).ravel(), len(REGIONS))
        area = np.bincount(region, minlength=len(REGIONS)) / region.size
        share = mass / mass.sum() if mass.sum() > 0 else np.full(len(REGIONS), np.nan)
        tables.append(
            pd.DataFrame({"number": number, "region": REGIONS, "share": share, "area": area})
        )
    return pd.concat(tables[1:] or tables, ignore_index=True)


def label_regions(landmarks: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Number of the region (of ``REGIONS``) of each pixel of a crop.

    Parameters
    ----------
    landmarks : [478, 2] in pixels of the crop

    Returns
    -------
    uint8 [224, 224]
    """
    picture = Image.new("L", (CROP_SIZE, CROP_SIZE), REGIONS.index("outside"))
    draw = ImageDraw.Draw(picture)
    draw.polygon(_hull(landmarks[list(OVAL)]), fill=REGIONS.index("cheeks_jaw"))
    oval = np.array(picture)
    brows = landmarks[[*RIGHT_BROW, *LEFT_BROW], 1].mean()
    above = (oval > 0) & (np.arange(CROP_SIZE)[:, None] < brows)
    oval[above] = REGIONS.index("forehead")
    picture = Image.fromarray(oval)
    draw = ImageDraw.Draw(picture)
    for name, outline in PARTS:
        draw.polygon(_hull(landmarks[list(outline)]), fill=REGIONS.index(name))
    return np.array(picture)


def _hull(points: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points[ConvexHull(points).vertices]]
