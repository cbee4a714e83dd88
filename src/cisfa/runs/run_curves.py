"""Reading ``metrics.csv`` and ``validation.csv`` while a run goes on writing them."""

import csv
from pathlib import Path

STEP = "step"


class CurveReader:
    """The columns of a growing file; each look reads only what is new.

    Attributes:
        steps: Of each row.
        values: Name of a column to its values, as long as ``steps``; NaN where a row has none.
    """

    def __init__(self, path: Path) -> None:
        """Read nothing yet; the file need not be there."""
        self.steps: list[float] = []
        self.values: dict[str, list[float]] = {}
        self._path = path
        self._names: list[str] = []
        self._offset, self._file = 0, 0

    def read(self) -> bool:
        """Take in what was written since the last look.

        Returns:
            True when there is something new. A run that is resumed drops the rows after its checkpoint; then everything
            is read anew.
        """
        try:
            stat = self._path.stat()
            size, file = stat.st_size, stat.st_ino
        except OSError:
            size, file = 0, 0
        # who drops rows puts a new file in the place of the old one
        is_same = file == self._file
        if size == self._offset and (is_same or not size):
            return False
        self._file = file
        if not is_same or size < self._offset or not self._goes_on() or not self._take(self._read_from(self._offset)):
            self._forget()
            self._take(self._read_from(0))
        return True

    def _goes_on(self) -> bool:
        """True when a line ends where the last look ended; else what follows is the middle of another number."""
        return self._offset == 0 or self._read_from(self._offset - 1)[:1] == b"\n"

    def _forget(self) -> None:
        self.steps, self.values, self._names, self._offset = [], {}, [], 0

    def _read_from(self, offset: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.read()
        except OSError:
            return b""

    def _take(self, content: bytes) -> bool:
        """Add whole lines; False when they do not go on from the rows before, so that these are void."""
        whole = content[: content.rfind(b"\n") + 1]
        rows = list(csv.reader(whole.decode("utf-8", errors="replace").splitlines()))
        if not self._names and rows:
            self._names = rows.pop(0)
            self.values = {name: [] for name in self._names if name != STEP}
        for row in rows:
            numbers = dict(zip(self._names, map(_number, row), strict=False))
            step = numbers.get(STEP, float("nan"))
            if not step > (self.steps[-1] if self.steps else float("-inf")):
                return False
            self.steps.append(step)
            for name, column in self.values.items():
                column.append(numbers.get(name, float("nan")))
        self._offset += len(whole)
        return True


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
