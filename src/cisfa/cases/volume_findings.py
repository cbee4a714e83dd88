"""What is odd about volumes: modalities, intensities, spacing, planes of acquisition, numbers of slices."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from cisfa.cases.case_folder import some_of
from cisfa.cases.check_report import CaseFacts, Domain, Finding
from cisfa.config import Modality, TrainingConfig

_DOMAINS: tuple[Domain, Domain] = ("source", "target")
_FEW_SLICES = 50
# spacing, height by width: how much more one may have than the other
_VERY_DIFFERENT_SPACING, _VERY_DIFFERENT_SHAPE = 3.0, 1.5
# as choose_plane has it: slices this much thicker than their pixels tell the plane of acquisition
_CLEARLY_THICKER = 1.3
# HU: a CT without anything as dark as this has no air in it, and one without anything as bright no bone
_AIR_HU, _BONE_HU = -500.0, 100.0
# how far apart the 1st and the 99th percentile are, relative to their size, in a volume with nothing in it
_CONSTANT = 1e-6


def volume_problems(facts: Sequence[CaseFacts], config: TrainingConfig) -> Iterator[Finding]:
    """What is wrong or odd about the volumes that can be read.

    Args:
        facts: Of the cases of the domains that training reads.
        config: Of the training.
    """
    read = {domain: [one for one in facts if one.domain == domain and one.slices > 0] for domain in _DOMAINS}
    settled = {domain: _settled(cases, _choice(domain, config)) for domain, cases in read.items()}
    for domain in _DOMAINS:
        yield from _modality_of_domain(domain, read[domain], _choice(domain, config))
        yield from _intensities(read[domain], _choice(domain, config))
        yield from _numbers_of_slices(domain, read[domain], config.optimiser.batch_size)
        yield from _planes(domain, read[domain])
        yield from _spacing_of_domain(domain, read[domain])
    if settled["source"] is not None and settled["source"] == settled["target"]:
        yield Finding(
            "warning",
            f"Source and target are both read as {settled['source']}. That is right for two scanners or sequences; if"
            " not, check which volumes are on which side.",
        )
    yield from _between_domains(read)


def _choice(domain: Domain, config: TrainingConfig) -> str:
    return config.source_modality if domain == "source" else config.target_modality


def _settled(cases: Sequence[CaseFacts], choice: str) -> Modality | None:
    """How training reads a domain's volumes: as the settings say, or as the first one looks."""
    if choice != "auto":
        return "CT" if choice == "CT" else "MR"
    return cases[0].modality if cases else None


def _modality_of_domain(domain: Domain, cases: Sequence[CaseFacts], choice: str) -> Iterator[Finding]:
    settled = _settled(cases, choice)
    other = tuple(one.name for one in cases if one.modality != settled)
    if not other:
        return
    looks = next(one.modality for one in cases if one.name == other[0])
    look = f"{some_of(other)} {'looks' if len(other) == 1 else 'look'} like {looks}"
    if choice == "auto":
        yield Finding(
            "error",
            f"{look}, but {cases[0].name}, the first {domain} case, like {settled}. Keep one modality in a domain; if"
            f" it is one, say which with {domain}_modality={settled}.",
            other,
            domain,
        )
    else:
        yield Finding(
            "warning",
            f"{look}, but {domain}_modality says that the {domain} is {choice}. If so, all is well; if not, take them"
            " out or change the setting.",
            other,
            domain,
        )


def _intensities(cases: Sequence[CaseFacts], choice: str) -> Iterator[Finding]:
    for one in cases:
        # that it looks unlike the others is a finding of its own
        doubt = _doubt(one, _settled([one], choice))
        if doubt:
            yield Finding("warning", f"{one.name} {doubt}", (one.name,), one.domain)


def _doubt(one: CaseFacts, read_as: Modality | None) -> str | None:
    found = one.intensities
    if found is None:
        return None
    span = f"{found.lowest:g} to {found.highest:g}"
    if found.high - found.low <= _CONSTANT * max(abs(found.low), abs(found.high)):
        return f"is nearly constant: 98 of 100 voxels are {found.middle:g}. Check that it is the right volume."
    if read_as == "CT" and found.lowest > _AIR_HU:
        return (
            f"is read as CT, but holds no air: its voxels run from {span}. CT must be in Hounsfield units (air -1000,"
            " water 0). Export it again without rescaling or window, or say that it is no CT."
        )
    if read_as == "CT" and found.highest < _BONE_HU:
        return (
            f"is read as CT, but nothing in it is as bright as {_BONE_HU:g} HU: its voxels run from {span}. Check that"
            " it is in Hounsfield units and no part of another volume."
        )
    if read_as == "MR" and found.low < 0:
        return (
            f"is read as MR, but has many negative voxels ({span}). MR as scanners give it has none: export it again"
            " without rescaling; if it is a CT, say so in the settings."
        )
    if read_as == "MR" and found.highest <= 1:
        return (
            f"is read as MR, but all its voxels lie between {span}: it was rescaled. That does no harm as long as"
            " whatever is segmented later looks the same; the original is the safer choice."
        )
    return None


def _numbers_of_slices(domain: Domain, cases: Sequence[CaseFacts], batch_size: int) -> Iterator[Finding]:
    slices = sum(one.slices for one in cases)
    if not cases or slices >= max(_FEW_SLICES, batch_size):
        return
    have = f"The {len(cases)} {domain} cases have" if len(cases) > 1 else f"The {domain} case has"
    if slices < batch_size:
        yield Finding(
            "error",
            f"{have} {slices} slices, less than one batch (optimiser.batch_size is {batch_size}). Add cases, or choose"
            " a smaller batch.",
            domain=domain,
        )
    else:
        yield Finding(
            "warning",
            f"{have} {slices} slices. From so few a model learns little that holds for other patients; add cases"
            f" ({_FEW_SLICES} slices are few, thousands are good).",
            domain=domain,
        )


def _planes(domain: Domain, cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    groups: dict[tuple[str | None, str | None], list[CaseFacts]] = {}
    for one in cases:
        if one.acquired_plane != one.plane and _has_thick_slices(one):
            groups.setdefault((one.acquired_plane, one.plane), []).append(one)
    for (acquired, plane), group in groups.items():
        names = tuple(one.name for one in group)
        thickness = max(max(one.spacing_mm or (0.0,)) for one in group)
        yield Finding(
            "warning",
            f"{some_of(names)} {'was' if len(group) == 1 else 'were'} acquired in {acquired} slices, up to"
            f" {thickness:.3g} mm apart, but training cuts {plane} ones, which are that coarse in one direction. Set"
            f" preprocessing.plane to {acquired} where most cases of both domains are like that, or keep it.",
            names,
            domain,
        )


def _has_thick_slices(one: CaseFacts) -> bool:
    if one.shape is not None and 1 in one.shape:
        return True
    spacing = sorted(one.spacing_mm or (1.0, 1.0, 1.0))
    return spacing[2] >= _CLEARLY_THICKER * spacing[1]


def _pixel_mm(one: CaseFacts) -> float:
    """The finer two of the spacings, on average."""
    return sum(sorted(one.spacing_mm or (1.0, 1.0, 1.0))[:2]) / 2


def _thickness_mm(one: CaseFacts) -> float:
    return max(one.spacing_mm or (1.0,))


_MEASURES: Mapping[str, Callable[[CaseFacts], float]] = {"pixel size": _pixel_mm, "slice distance": _thickness_mm}


def _spacing_of_domain(domain: Domain, cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    for what, measure in _MEASURES.items():
        if len(cases) < 2:
            return
        finest, coarsest = min(cases, key=measure), max(cases, key=measure)
        if measure(coarsest) > _VERY_DIFFERENT_SPACING * measure(finest):
            yield Finding(
                "warning",
                f"The {what} of the {domain} cases runs from {measure(finest):.3g} mm ({finest.name}) to"
                f" {measure(coarsest):.3g} mm ({coarsest.name}). Check both; leave out what is unlike the cases that"
                " the model is for.",
                (finest.name, coarsest.name),
                domain,
            )


def _between_domains(read: Mapping[Domain, Sequence[CaseFacts]]) -> Iterator[Finding]:
    if not read["source"] or not read["target"]:
        return
    for what, measure in _MEASURES.items():
        ours, theirs = (statistics.median(measure(one) for one in read[domain]) for domain in _DOMAINS)
        if max(ours, theirs) > _VERY_DIFFERENT_SPACING * min(ours, theirs):
            yield Finding(
                "warning",
                f"The {what} is {ours:.3g} mm in the source and {theirs:.3g} mm in the target (medians). What is drawn"
                " that much finer in one looks unlike the other; resample one side if you can.",
            )
    shapes = [[one.body_mm[1] / one.body_mm[0] for one in read[domain] if one.body_mm] for domain in _DOMAINS]
    if all(shapes):
        ours, theirs = map(statistics.median, shapes)
        if max(ours, theirs) > _VERY_DIFFERENT_SHAPE * min(ours, theirs):
            yield Finding(
                "warning",
                f"What is cut out of a slice is {ours:.2g} times as wide as high in the source and {theirs:.2g} times"
                " in the target (medians). Both become squares, so organs are squeezed differently: crop one side to"
                " what the other shows, or check that both are cut in the same plane.",
            )
