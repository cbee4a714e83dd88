"""What each tissue looks like in a CT-like and in a T2-SPIR-like MR scan, and how much patients differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Domain = Literal["ct", "mr"]


class Label(IntEnum):
    """Values of a phantom's label map."""

    BACKGROUND = 0
    LIVER = 1
    RIGHT_KIDNEY = 2
    LEFT_KIDNEY = 3
    SPLEEN = 4


LABEL_NAMES: Mapping[str, int] = {label.name.lower().replace("_", " "): int(label) for label in Label}


class Tissue(IntEnum):
    """Everything that is painted."""

    AIR = 0
    TABLE = 1
    SKIN = 2
    SUBCUTANEOUS_FAT = 3
    VISCERAL_FAT = 4
    MUSCLE = 5
    CORTICAL_BONE = 6
    MARROW = 7
    DISC = 8
    CARTILAGE = 9
    SPINAL_FLUID = 10
    SPINAL_CORD = 11
    LUNG = 12
    HEART = 13
    ARTERY = 14
    VEIN = 15
    PORTAL_VEIN = 16
    LIVER = 17
    SPLEEN = 18
    RENAL_CORTEX = 19
    RENAL_MEDULLA = 20
    URINE = 21
    BILE = 22
    PANCREAS = 23
    GUT_WALL = 24
    STOMACH_CONTENT = 25
    GUT_FLUID = 26
    CHYME = 27
    FAECES = 28
    GAS = 29
    CYST = 30
    METASTASIS = 31


@dataclass(frozen=True)
class CtTissue:
    """A tissue in CT without intravenous contrast agent.

    Attributes:
        level_hu: Mean over patients.
        spread_hu: Standard deviation between patients.
        grain_hu: Standard deviation of the texture inside one patient's tissue.
    """

    level_hu: float
    spread_hu: float
    grain_hu: float


@dataclass(frozen=True)
class MrTissue:
    """A tissue in fat-suppressed T2-weighted MR.

    Attributes:
        signal: Mean over patients; spinal fluid is about 800.
        spread: Standard deviation between patients, a fraction of the signal.
        grain: Standard deviation of the texture inside one patient's tissue, a fraction of the signal.
    """

    signal: float
    spread: float = 0.12
    grain: float = 0.06


@dataclass(frozen=True)
class Appearance:
    """How one patient's tissues look in one scan.

    Attributes:
        level: Mean of each tissue, HU or the scanner's arbitrary units.
        grain: Standard deviation of its texture, same unit.
    """

    level: Mapping[Tissue, float]
    grain: Mapping[Tissue, float]


CT_TISSUES: Mapping[Tissue, CtTissue] = {
    Tissue.AIR: CtTissue(-1000.0, 0.0, 0.0),
    Tissue.TABLE: CtTissue(-180.0, 60.0, 10.0),
    Tissue.SKIN: CtTissue(22.0, 10.0, 10.0),
    Tissue.SUBCUTANEOUS_FAT: CtTissue(-102.0, 5.0, 7.0),
    Tissue.VISCERAL_FAT: CtTissue(-96.0, 6.0, 10.0),
    Tissue.MUSCLE: CtTissue(53.0, 4.0, 7.0),
    Tissue.CORTICAL_BONE: CtTissue(560.0, 110.0, 60.0),
    Tissue.MARROW: CtTissue(190.0, 50.0, 35.0),
    Tissue.DISC: CtTissue(85.0, 12.0, 8.0),
    Tissue.CARTILAGE: CtTissue(105.0, 25.0, 12.0),
    Tissue.SPINAL_FLUID: CtTissue(14.0, 5.0, 4.0),
    Tissue.SPINAL_CORD: CtTissue(38.0, 4.0, 4.0),
    Tissue.LUNG: CtTissue(-830.0, 40.0, 45.0),
    Tissue.HEART: CtTissue(44.0, 4.0, 5.0),
    Tissue.ARTERY: CtTissue(43.0, 4.0, 3.0),
    Tissue.VEIN: CtTissue(42.0, 4.0, 3.0),
    Tissue.PORTAL_VEIN: CtTissue(42.0, 4.0, 3.0),
    Tissue.LIVER: CtTissue(68.0, 5.0, 5.0),
    Tissue.SPLEEN: CtTissue(50.0, 3.0, 4.0),
    Tissue.RENAL_CORTEX: CtTissue(34.0, 3.0, 5.0),
    Tissue.RENAL_MEDULLA: CtTissue(30.0, 3.0, 5.0),
    Tissue.URINE: CtTissue(5.0, 4.0, 4.0),
    Tissue.BILE: CtTissue(8.0, 6.0, 4.0),
    Tissue.PANCREAS: CtTissue(40.0, 6.0, 12.0),
    Tissue.GUT_WALL: CtTissue(42.0, 6.0, 8.0),
    Tissue.STOMACH_CONTENT: CtTissue(16.0, 10.0, 9.0),
    Tissue.GUT_FLUID: CtTissue(14.0, 8.0, 8.0),
    Tissue.CHYME: CtTissue(24.0, 10.0, 14.0),
    Tissue.FAECES: CtTissue(20.0, 30.0, 60.0),
    Tissue.GAS: CtTissue(-960.0, 20.0, 5.0),
    Tissue.CYST: CtTissue(6.0, 5.0, 3.0),
    Tissue.METASTASIS: CtTissue(40.0, 6.0, 7.0),
}

MR_TISSUES: Mapping[Tissue, MrTissue] = {
    Tissue.AIR: MrTissue(0.0, 0.0, 0.0),
    Tissue.TABLE: MrTissue(0.0, 0.0, 0.0),
    Tissue.SKIN: MrTissue(95.0, 0.2, 0.1),
    Tissue.SUBCUTANEOUS_FAT: MrTissue(60.0, 0.2, 0.15),
    Tissue.VISCERAL_FAT: MrTissue(64.0, 0.15, 0.2),
    Tissue.MUSCLE: MrTissue(84.0, 0.07, 0.12),
    Tissue.CORTICAL_BONE: MrTissue(22.0, 0.2, 0.2),
    Tissue.MARROW: MrTissue(120.0, 0.25, 0.1),
    Tissue.DISC: MrTissue(190.0, 0.45, 0.1),
    Tissue.CARTILAGE: MrTissue(110.0, 0.2, 0.1),
    Tissue.SPINAL_FLUID: MrTissue(950.0, 0.08, 0.04),
    Tissue.SPINAL_CORD: MrTissue(290.0, 0.1, 0.05),
    Tissue.LUNG: MrTissue(24.0, 0.3, 0.3),
    Tissue.HEART: MrTissue(120.0, 0.3, 0.3),
    Tissue.ARTERY: MrTissue(45.0, 0.5, 0.2),
    Tissue.VEIN: MrTissue(170.0, 0.6, 0.15),
    Tissue.PORTAL_VEIN: MrTissue(330.0, 0.4, 0.1),
    Tissue.LIVER: MrTissue(160.0, 0.07, 0.13),
    Tissue.SPLEEN: MrTissue(450.0, 0.1, 0.06),
    Tissue.RENAL_CORTEX: MrTissue(340.0, 0.12, 0.07),
    Tissue.RENAL_MEDULLA: MrTissue(640.0, 0.1, 0.07),
    Tissue.URINE: MrTissue(900.0, 0.1, 0.04),
    Tissue.BILE: MrTissue(950.0, 0.15, 0.04),
    Tissue.PANCREAS: MrTissue(245.0, 0.16, 0.14),
    Tissue.GUT_WALL: MrTissue(230.0, 0.16, 0.12),
    Tissue.STOMACH_CONTENT: MrTissue(650.0, 0.3, 0.12),
    Tissue.GUT_FLUID: MrTissue(780.0, 0.15, 0.1),
    Tissue.CHYME: MrTissue(520.0, 0.25, 0.2),
    Tissue.FAECES: MrTissue(150.0, 0.4, 0.4),
    Tissue.GAS: MrTissue(8.0, 0.2, 0.2),
    Tissue.CYST: MrTissue(950.0, 0.08, 0.03),
    Tissue.METASTASIS: MrTissue(340.0, 0.15, 0.12),
}
