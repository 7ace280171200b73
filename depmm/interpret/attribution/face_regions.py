"""Regions of an aligned face crop, and the share of a map in each of them."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from depmm.config import CROP_SIZE
from depmm.interpret.errors import ExplanationError

N_LANDMARKS = 478
# MediaPipe's groups of landmarks (FaceLandmarksConnections); left and right of the subject
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

# outlines are drawn at this odd multiple of the size, and a pixel has the label of its centre:
# OpenCV fills every pixel that an outline touches
SCALE = 5

REGIONS = ("outside", "forehead", "cheeks_jaw", "nose", "mouth", "eyes", "brows")
# of a crop without landmarks: brows and eyes, nose, mouth
THIRDS = ("upper_third", "middle_third", "lower_third")
# drawn in this order, each on top of the previous ones
PARTS = (
    ("nose", NOSE),
    ("mouth", MOUTH),
    ("eyes", RIGHT_EYE),
    ("eyes", LEFT_EYE),
    ("brows", RIGHT_BROW),
    ("brows", LEFT_BROW),
)


def compute_region_shares(maps: ArrayLike, landmarks: ArrayLike) -> pd.DataFrame:
    """Compute the share of each region of the face in maps over face crops.

    A region is the convex hull of its landmarks. The rest of the face oval is divided at the mean
    height of the brows into forehead and ``cheeks_jaw``. Maps are coarse compared with an eye or a
    brow: compare ``share`` with ``area``, the share of a uniform map.

    Parameters
    ----------
    maps : array_like, shape (N, height, width)
        Non-negative maps, from ``compute_grad_cam``.
    landmarks : array_like, shape (N, 478, 2)
        In pixels of the 224 x 224 crop, from ``SessionDataset.landmarks``.

    Returns
    -------
    DataFrame
        One row per map and region with the columns ``index`` (of the map), ``region``, ``share``
        (of the map's sum; NaN if it is 0) and ``area`` (share of the crop). The shares of a map
        sum to 1.

    Raises
    ------
    ExplanationError
        If the shapes do not fit, or a frame has no face.
    """
    values, points = np.asarray(maps, dtype=np.float32), np.asarray(landmarks, dtype=float)
    if values.ndim != 3 or points.shape != (len(values), N_LANDMARKS, 2):
        raise ExplanationError(
            f"The shape of the maps is {values.shape}, and that of the landmarks {points.shape}. "
            f"Give (N, height, width) and (N, {N_LANDMARKS}, 2) of the same crops.",
            value=(values.shape, points.shape),
        )
    constant = np.ptp(points, axis=(1, 2)) == 0 if len(points) else np.zeros(0, bool)
    if constant.any():
        index = int(constant.argmax())
        raise ExplanationError(
            f"All landmarks of map {index} are equal: its frame has no face. Leave the frame out.",
            value=index,
        )
    import cv2

    tables = [pd.DataFrame({"index": [], "region": [], "share": [], "area": []})]
    for index, (heatmap, face) in enumerate(zip(values, points, strict=True)):
        region = label_regions(face).ravel()
        shrinks = max(heatmap.shape) > CROP_SIZE
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        large = cv2.resize(heatmap, (CROP_SIZE, CROP_SIZE), interpolation=interpolation)
        mass = np.bincount(region, large.ravel(), len(REGIONS))
        area = np.bincount(region, minlength=len(REGIONS)) / region.size
        share = mass / mass.sum() if mass.sum() > 0 else np.full(len(REGIONS), np.nan)
        tables.append(
            pd.DataFrame({"index": index, "region": REGIONS, "share": share, "area": area})
        )
    return pd.concat(tables[1:] or tables, ignore_index=True)


def label_regions(landmarks: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Label each pixel of a crop with its region.

    Parameters
    ----------
    landmarks : ndarray, shape (478, 2)
        In pixels of the crop.

    Returns
    -------
    ndarray of uint8, shape (224, 224)
        Index of the region in ``REGIONS``.
    """
    size = CROP_SIZE * SCALE
    labels = np.full((size, size), REGIONS.index("outside"), np.uint8)
    _fill_hull(labels, landmarks[list(OVAL)], "cheeks_jaw")
    brows = landmarks[[*RIGHT_BROW, *LEFT_BROW], 1].mean()
    upper = labels[: max(0, round(brows * SCALE))]
    upper[upper == REGIONS.index("cheeks_jaw")] = REGIONS.index("forehead")
    for name, outline in PARTS:
        _fill_hull(labels, landmarks[list(outline)], name)
    return labels[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]


def _fill_hull(labels: NDArray[np.uint8], points: NDArray[np.float64], region: str) -> None:
    """Fill the convex hull of points in a drawing that is ``SCALE`` times as large as the crop."""
    import cv2

    bits = 4  # of the fraction of a coordinate
    hull = cv2.convexHull(points.astype(np.float32))
    corners = np.round((hull * SCALE - 0.5) * 2**bits).astype(np.int32)  # pixels are centred at 0
    cv2.fillConvexPoly(labels, corners, REGIONS.index(region), shift=bits)
