"""Headers that are mended before anything is derived from them.

What scanners, archives and programs that anonymise leave behind is often not what the standard asks for: attributes are
missing, dates are no dates, texts are in another character set than they say. Nothing of that keeps anybody from
segmenting, so it is mended, in copies.
"""

import re
from collections.abc import Iterable
from typing import Any

from pydicom import config
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import DA, DT, MAX_VALUE_LEN, TM, PersonName, validate_value

UTF_8 = "ISO_IR 192"
_CHARACTER_SET = 0x00080005
# patient and study attributes that must be there, if only empty
_MUST_BE_THERE = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
# groups of attributes that tell of patient, study, equipment and acquisition
_GROUPS = (0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040)
_LOSSY_COMPRESSION = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
# what a trial must be stated with
_TRIAL = ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID")
_TRIAL_GROUP, _LAST_OF_TRIAL = 0x0012, 0x00120060
# kept however long they are: a patient or study whose ID is cut off is another one
_IDENTIFYING = (0x00080050, 0x00100010, 0x00100020, 0x00100021, 0x00200010)
_CODED_TERM = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
_TIMES = {"DA": DA, "TM": TM, "DT": DT}
# what ACR-NEMA wrote between the parts of dates and times
_OLD_SPELLING = {"DA": r"[-./ ]", "TM": r"[: ]"}
_TEXTS = ("LO", "LT", "SH", "ST", "UC", "UT")
_SEXES = ("M", "F", "O")
_CONTROL = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1a\x1c-\x1f]")


def mended_header(header: Dataset, *, texts: Iterable[str] = ()) -> Dataset:
    """A copy of what tells of patient, study and equipment, with nothing in it that the standard does not allow.

    Args:
        header: Of an image; stays as it is.
        texts: What is going to stand beside it. Where they need more than ASCII, the copy's character set is UTF-8,
            as readers expect it; otherwise the header's own where possible, so that the patient's name stays as it is.
    """
    declared = header.get("SpecificCharacterSet")
    # the others need a first one beside them
    is_single = isinstance(declared, str) and declared.startswith(("ISO_IR", "GB"))
    charset = declared if is_single and declared in python_encoding else ""
    is_declared = bool(charset) or isinstance(declared, MultiValue)
    lossy = [tag for keyword in _LOSSY_COMPRESSION if (tag := tag_for_keyword(keyword)) is not None]
    mended = Dataset()
    for tag in sorted(header.keys()):
        if (tag.group in _GROUPS or tag in lossy) and tag != _CHARACTER_SET:
            element = _mended_element(header, int(tag), is_declared=is_declared)
            if element is not None:
                mended.add(element)
    _drop_halves(mended)
    for keyword in _MUST_BE_THERE:
        if mended.get(keyword) is None:
            setattr(mended, keyword, "")
    if mended.PatientSex not in _SEXES:
        mended.PatientSex = ""
    keeps_charset = charset and "".join(texts).isascii() and _all_fit(mended, python_encoding[charset])
    mended.SpecificCharacterSet = charset if keeps_charset else UTF_8
    return mended


def _drop_halves(mended: Dataset) -> None:
    """Leave out what the standard wants whole or not at all."""
    if mended.get("LossyImageCompression") not in ("00", "01"):
        for keyword in _LOSSY_COMPRESSION:
            mended.pop(keyword, None)
    if not all(mended.get(keyword) for keyword in _TRIAL):
        for tag in [tag for tag in mended.keys() if tag.group == _TRIAL_GROUP and tag < _LAST_OF_TRIAL]:  # noqa: SIM118
            del mended[tag]


def _mended_element(holder: Dataset, tag: int, *, is_declared: bool) -> DataElement | None:
    """A copy that is valid; None where there is no making sense of it."""
    try:
        element = holder[tag]
        vr, value = dictionary_VR(tag), element.value
    except Exception:  # pydicom raises what the damage happens to cause: ValueError, OverflowError, KeyError, ...
        return None
    if vr == "SQ":
        terms = [_mended_term(item, is_declared=is_declared) for item in value] if element.VR == "SQ" else []
        return DataElement(tag, vr, Sequence(terms)) if terms and all(len(term) for term in terms) else None
    if vr == "PN" or vr in _TEXTS:
        return _text_element(tag, vr, value, is_declared=is_declared)
    if vr in _OLD_SPELLING and isinstance(value, str):
        value = re.sub(_OLD_SPELLING[vr], "", value)
    try:
        for each in value if isinstance(value, MultiValue) else [value]:
            validate_value(vr, each, config.RAISE)
            if vr in _TIMES and each:
                _TIMES[vr](each)  # which knows that February has no 30th
        return DataElement(tag, vr, value)
    except Exception:  # of a value that is none: ValueError, TypeError, OverflowError, ...
        return None


def _mended_term(item: Dataset, *, is_declared: bool) -> Dataset:
    """A copy of a coded term; empty for another kind of item, or where half of it would say something else."""
    mended = Dataset()
    for tag in sorted(item.keys()):
        element = _mended_element(item, int(tag), is_declared=is_declared)
        if element is None or element.tag.is_private or not _fits(element):
            return Dataset()
        mended.add(element)
    return mended if all(mended.get(keyword) for keyword in _CODED_TERM) else Dataset()


def _fits(element: DataElement) -> bool:
    longest = MAX_VALUE_LEN.get(str(element.VR))
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    return longest is None or all(len(str(value)) <= longest for value in values)


def _text_element(tag: int, vr: str, value: Any, *, is_declared: bool) -> DataElement | None:
    """Texts without control characters, and no longer than they may be but for those that identify."""
    if isinstance(value, bytes | Sequence):
        return None
    values = list(value) if isinstance(value, MultiValue) else [] if value is None else [value]
    longest = None if tag in _IDENTIFYING else MAX_VALUE_LEN.get(vr)
    texts = [_CONTROL.sub("", _decoded(str(each), is_declared=is_declared))[:longest] for each in values]
    if vr == "PN" and dictionary_VM(tag) == "1":
        texts = texts[:1]
    mended: list[Any] = [PersonName(each) for each in texts] if vr == "PN" else list(texts)
    return DataElement(tag, vr, mended if len(mended) > 1 else mended[0] if mended else "")


def _decoded(read: str, *, is_declared: bool) -> str:
    """The text; where no character set was declared it has been read as Latin-1, and is mostly UTF-8."""
    if is_declared or read.isascii():
        return read
    try:
        return read.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return read


def _all_fit(dataset: Dataset, encoding: str) -> bool:
    try:
        for element in dataset.iterall():
            if element.VR == "PN" or element.VR in _TEXTS:
                str(element.value).encode(encoding)
    except UnicodeError:
        return False
    return True
