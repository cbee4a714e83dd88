"""What a PACS says about a file that it was sent, in words: the codes are the same in STOW-RS and C-STORE."""

DUPLICATE = 0x0111
_EXACT = {
    0x0105: "it misses an attribute",
    0x0106: "an attribute has a value that it may not have",
    0x0110: "the PACS could not process it",
    DUPLICATE: "it is there already",
    0x0117: "its SOP Instance UID is not valid",
    0x0118: "the PACS does not know its kind (SOP class)",
    0x0119: "its SOP class does not fit to what is there",
    0x0122: "the PACS does not take its kind (SOP class)",
    0x0124: "this computer may not store there",
    0x0213: "the PACS has no room or memory left",
    0xA770: "it belongs to another patient or study there",
    0xB000: "the PACS changed values in it",
    0xB006: "the PACS left elements of it out",
    0xB007: "the PACS finds that it does not match its kind (SOP class)",
    0xC122: "the PACS does not take its encoding (transfer syntax)",
}
_BY_FIRST_DIGITS = (
    (0xA700, 0xA7FF, "the PACS has no room or memory left"),
    (0xA900, 0xA9FF, "it does not match its kind (SOP class)"),
    (0xB000, 0xBFFF, "the PACS stored it with a warning"),
    (0xC000, 0xCFFF, "the PACS cannot understand it"),
)


def reason_in_words(code: int) -> str:
    """What a status or reason means, with the code for whoever runs the PACS."""
    ranges = (words for first, last, words in _BY_FIRST_DIGITS if first <= code <= last)
    words = _EXACT.get(code) or next(ranges, "the PACS gives a reason that is not in the standard")
    return f"{words} (0x{code:04X})"


def is_warning(code: int) -> bool:
    """Whether something was stored, though not as it was sent."""
    return code in (0x0001, 0x0107, 0x0116) or 0xB000 <= code <= 0xBFFF
