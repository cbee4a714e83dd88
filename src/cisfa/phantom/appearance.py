"""Draw how one patient's tissues look in one scan."""

from cisfa.phantom.chance import Chance
from cisfa.phantom.tissues import CT_TISSUES, MR_TISSUES, Appearance, Domain, Tissue

# tissues whose contrast to each other makes a case easy or hard
_SOFT = frozenset(Tissue) - {
    Tissue.AIR,
    Tissue.TABLE,
    Tissue.GAS,
    Tissue.LUNG,
    Tissue.CORTICAL_BONE,
    Tissue.MARROW,
    Tissue.SUBCUTANEOUS_FAT,
    Tissue.VISCERAL_FAT,
    Tissue.SPINAL_FLUID,
}
_MIDDLE_HU = 50.0
_MIDDLE_SIGNAL = 260.0


def draw_appearance(domain: Domain, chance: Chance, *, severity: float) -> Appearance:
    """Draw the level of every tissue, HU for CT, arbitrary units for MR.

    Args:
        domain: Which kind of scan.
        chance: Where the numbers come from.
        severity: From 0 (soft tissues far apart) to 1 (they nearly touch).
    """
    contrast = 1.2 - 0.4 * severity
    return _draw_ct(chance, contrast) if domain == "ct" else _draw_mr(chance, contrast)


def _draw_ct(chance: Chance, contrast: float) -> Appearance:
    level: dict[Tissue, float] = {}
    for tissue, look in CT_TISSUES.items():
        hu = chance.normal(look.level_hu, look.spread_hu)
        level[tissue] = _MIDDLE_HU + contrast * (hu - _MIDDLE_HU) if tissue in _SOFT else hu
    # all have drunk contrast agent, some more, some less
    gut_contrast_hu = chance.uniform(90.0, 280.0)
    for tissue in (Tissue.STOMACH_CONTENT, Tissue.GUT_FLUID, Tissue.CHYME):
        level[tissue] += gut_contrast_hu * chance.uniform(0.6, 1.0)
    return Appearance(level, {tissue: look.grain_hu for tissue, look in CT_TISSUES.items()})


def _draw_mr(chance: Chance, contrast: float) -> Appearance:
    gain = chance.uniform(0.5, 2.0)
    level, grain = {}, {}
    for tissue, look in MR_TISSUES.items():
        signal = look.signal * chance.ratio(look.spread)
        if tissue in _SOFT:
            # on a logarithmic scale, so that dark tissues stay above zero
            signal = _MIDDLE_SIGNAL * float((signal / _MIDDLE_SIGNAL) ** contrast)
        level[tissue] = gain * signal
        grain[tissue] = gain * signal * look.grain
    return Appearance(level, grain)
