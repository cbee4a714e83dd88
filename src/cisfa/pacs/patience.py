"""How long a PACS is waited for, and how often it is asked again."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for a PACS.

    Attributes:
        connect_s: For a connection.
        read_s: For the next word of an answer; what comes in slower than 1 KiB/s over so long counts as silence too.
        waits_s: Before each further try to read, after a lost connection.
    """

    connect_s: float = 10.0
    # a PACS that has to fetch a series from its archive is silent for a while
    read_s: float = 60.0
    waits_s: tuple[float, ...] = (0.5, 2.0)
