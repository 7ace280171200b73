"""A schematic face with the regions of the attribution, drawn without any photograph.

The outlines are those of a symmetric face whose eyes and mouth are at the positions to which crops
are aligned. They are not those of a participant.
"""

from collections.abc import Mapping

from markupsafe import Markup, escape

from depmm.config import CROP_SIZE
from depmm.interpret.attribution.face_regions import REGIONS, THIRDS

# path of each region in pixels of the crop, drawn in this order, each on top of the previous ones;
# a face extends from about y = 30 to 202 and x = 44 to 180, see depmm.media.video.face_alignment
_EYE = "M{0} 82q15 -11 30 0q-15 9 -30 0z"
_BROW = "M{0} 68q17 -14 36 -2l-1 5q-17 -9 -34 2z"
_OUTLINES = {
    "outside": f"M0 0h{CROP_SIZE}v{CROP_SIZE}h-{CROP_SIZE}z",
    "cheeks_jaw": "M46 68C40 130 66 202 112 202C158 202 184 130 178 68z",
    "forehead": "M46 68C50 42 78 30 112 30C146 30 174 42 178 68z",
    "nose": "M106 78L118 78L130 120Q112 134 94 120z",
    "mouth": "M84 150Q98 140 112 144Q126 140 140 150Q112 172 84 150z",
    "eyes": _EYE.format(67) + _EYE.format(127),
    "brows": _BROW.format(62) + "M162 68q-17 -14 -36 -2l1 5q17 -9 34 2z",
}
MAX_RATIO = 3.0  # share relative to area that has the full colour


def draw_face(shares: Mapping[str, float], areas: Mapping[str, float], label: str) -> Markup:
    """Draw regions of a schematic face, darker where their share is larger than their area.

    Parameters
    ----------
    shares : mapping of str to float
        Region of ``REGIONS`` or ``THIRDS`` -> share of the maps.
    areas : mapping of str to float
        Region -> share of a uniform map.
    label : str
        Alternative text.

    Returns
    -------
    Markup
        An ``<svg>`` element. A region with the share of a uniform map or less is white; the full
        colour stands for three times that share.

    Raises
    ------
    ValueError
        If a region is unknown.
    """
    if unknown := set(shares) - {*REGIONS, *THIRDS}:
        raise ValueError(f"unknown regions: {sorted(unknown)}")
    is_thirds = bool(set(shares) & set(THIRDS))
    parts = [
        _region(path, name, shares, areas) if not is_thirds else _outline(path)
        for name, path in _OUTLINES.items()
    ]
    if is_thirds:
        height = CROP_SIZE / len(THIRDS)
        parts = [
            _region(f"M0 {index * height:.1f}h224v{height:.1f}h-224z", name, shares, areas)
            for index, name in enumerate(THIRDS)
        ] + parts
    return Markup(
        f'<svg viewBox="0 0 {CROP_SIZE} {CROP_SIZE}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _outline(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="#59636e" stroke-width="1"/>'


def _region(path: str, name: str, shares: Mapping[str, float], areas: Mapping[str, float]) -> str:
    share, area = shares.get(name, 0.0), areas.get(name, 0.0)
    ratio = share / area if area else 0.0
    opacity = min(max((ratio - 1) / (MAX_RATIO - 1), 0.0), 1.0)
    title = (
        f"{name.replace('_', ' ')}: {100 * share:.0f} % of the maps, {100 * area:.0f} % of the area"
    )
    return (
        f'<path d="{path}" fill="#fff" stroke="#59636e" stroke-width="1"/>'
        f'<path d="{path}" fill="#d55e00" fill-opacity="{opacity:.2f}">'
        f"<title>{title}</title></path>"
    )
