"""What damaged or hostile DICOM makes pydicom and dicomweb-client raise, and what it does not."""

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

_UNDEFINED_LENGTH = 0xFFFFFFFF

UNREADABLE = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, RecursionError, TypeError),
    *(ValueError, struct.error, zlib.error),
)


def is_cut_off(dataset: "Dataset") -> bool:
    """Whether the last element, mostly the pixels, is shorter than it says; pydicom reads that without a word."""
    if not dataset:
        return True
    last = dataset.get_item(max(dataset.keys()))
    length, value = getattr(last, "length", None), last.value
    return isinstance(value, bytes) and length not in (None, _UNDEFINED_LENGTH) and len(value) < length
