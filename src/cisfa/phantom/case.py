"""One synthetic case: a patient drawn and scanned."""

from dataclasses import replace

import numpy as np

from cisfa.imaging.volume import LabelMap, Volume
from cisfa.phantom.anatomy import draw_anatomy
from cisfa.phantom.scanner import Size, scan
from cisfa.phantom.tissues import Domain

_DOMAIN_NUMBERS: dict[Domain, int] = {"ct": 1, "mr": 2}


def case_name(domain: Domain, index: int) -> str:
    """What a case is called, without suffix: ``phantom_ct_007``."""
    return f"phantom_{domain}_{index:03d}"


def make_case(
    domain: Domain, *, seed: int, index: int, severity: float = 0.5, size: Size = "standard"
) -> tuple[Volume, LabelMap]:
    """Make one case; the same arguments give the same voxels.

    Args:
        domain: ``ct`` (HU) or ``mr`` (fat-suppressed T2, arbitrary units). No patient is in both.
        seed: Names a set of patients, 0 or more.
        index: Which patient of the set, 0 or more; a case does not depend on how many others are made.
        severity: From 0 (easy) to 1 (hard): noise, bias, motion, overlap of tissues, variety of patients. The
            patient and the scan stay the same draw, told with more or less exaggeration.
        size: ``standard`` is like a clinical series, ``small`` is for tests.

    Returns:
        Volume (int16) and label map (uint8; values are those of :class:`~cisfa.phantom.tissues.Label`), on one grid.
    """
    patient, scanner = np.random.SeedSequence([seed, _DOMAIN_NUMBERS[domain], index]).spawn(2)
    anatomy = draw_anatomy(patient, severity=severity)
    volume, label_map = scan(anatomy, domain, seed=scanner, severity=severity, size=size)
    name = f"{case_name(domain, index)}.nii.gz"
    return replace(volume, name=name), replace(label_map, name=name)
