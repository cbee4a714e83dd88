"""What a server says, made fit for a sentence of ours."""

_LONGEST = 80


def plain(said: str) -> str:
    """Text without control characters, which a terminal would obey, and short."""
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
