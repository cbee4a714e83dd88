"""Single values of DICOM headers, read with patience: what is missing or untidy is None or empty, never a traceback."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cisfa.errors import VolumeFileError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@contextmanager
def patient_reading() -> Iterator[None]:
    """Silence what pydicom warns of in untidy headers: values too long, unknown character sets, invalid UIDs.

    Raises:
        VolumeFileError: pydicom is missing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import pydicom  # noqa: F401 - a fifth of a second that NIfTI users need not pay
        except ImportError as error:
            raise VolumeFileError("Reading DICOM needs pydicom: pip install pydicom") from error
        yield


def text(dataset: "Dataset", keyword: str) -> str:
    """A value as text without the blanks around it, several joined by backslashes; empty where there is none."""
    try:
        value = dataset.get(keyword)
    except Exception:  # whatever pydicom makes of a value that cannot be decoded; no text is worth refusing a series
        return ""
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return "\\".join(str(part).strip(" \0") for part in parts)


def texts(dataset: "Dataset", keyword: str) -> tuple[str, ...]:
    """A value of several parts, in capitals; empty where there is none."""
    whole = text(dataset, keyword)
    return tuple(whole.upper().split("\\")) if whole else ()


def numbers(dataset: "Dataset", keyword: str, count: int, where: str) -> tuple[float, ...] | None:
    """Numbers of a value; None where it is missing or empty.

    Args:
        dataset: Header, or an item of a sequence in it.
        keyword: Of the attribute.
        count: How many there must be.
        where: The file, for the message.

    Raises:
        VolumeFileError: A part is no finite number, or there are more or fewer.
    """
    try:
        value = dataset.get(keyword)
        if value is None or (isinstance(value, str | bytes) and not value.strip()):
            return None
        parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
        if not parts:
            return None
        found = tuple(float(part) for part in parts)
    except Exception as error:  # what pydicom raises depends on its version: ValueError, TypeError, OverflowError
        raise VolumeFileError(_malformed(dataset, keyword, count, where)) from error
    if len(found) != count or not all(map(math.isfinite, found)):
        raise VolumeFileError(_malformed(dataset, keyword, count, where))
    return found


def number(dataset: "Dataset", keyword: str, where: str) -> float | None:
    """One number; None where it is missing or empty.

    Raises:
        VolumeFileError: It is no finite number.
    """
    found = numbers(dataset, keyword, 1, where)
    return found[0] if found else None


def whole_number(dataset: "Dataset", keyword: str, where: str, default: int) -> int:
    """A whole number; the default where it is missing or empty.

    Raises:
        VolumeFileError: It is none.
    """
    found = number(dataset, keyword, where)
    if found is None:
        return default
    if found != int(found):
        raise VolumeFileError(_malformed(dataset, keyword, 1, where))
    return int(found)


def first_item(dataset: "Dataset | None", keyword: str) -> "Dataset | None":
    """The first item of a sequence; None where there is none."""
    found = items(dataset, keyword)
    return found[0] if found else None


def items(dataset: "Dataset | None", keyword: str) -> "list[Dataset]":
    """The items of a sequence; empty where there is none."""
    if dataset is None:
        return []
    try:
        return list(dataset.get(keyword) or ())
    except Exception:  # a sequence that is damaged is as good as none: what it should say is then missed by name
        return []


def name_of(keyword: str) -> str:
    """What the standard calls an attribute: "Pixel Spacing"."""
    from pydicom.datadict import dictionary_description, tag_for_keyword

    tag = tag_for_keyword(keyword)
    return keyword if tag is None else dictionary_description(tag)


def _malformed(dataset: "Dataset", keyword: str, count: int, where: str) -> str:
    wanted = "one number" if count == 1 else f"{count} numbers"
    return (
        f"{where} is damaged: its {name_of(keyword)} is {_raw(dataset, keyword)!r}, and must be {wanted}. Export the"
        " series again, or ask whoever wrote it."
    )


def _raw(dataset: "Dataset", keyword: str) -> str:
    from pydicom.datadict import tag_for_keyword

    try:
        value: Any = dataset.get_item(tag_for_keyword(keyword) or 0).value
    except Exception:  # of a kind (VR) that there is not: nobody knows where its value begins
        return "of no known kind"
    if isinstance(value, bytes):
        return value.decode("latin-1").strip(" \0")
    return str(value) if isinstance(value, str) or not hasattr(value, "__iter__") else "\\".join(map(str, value))
