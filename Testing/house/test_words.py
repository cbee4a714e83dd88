"""Words that must not get into a tracked file: they are private, or mean nothing to a reader elsewhere."""

import re
from pathlib import Path

import pytest

# whom examples may name
NOBODY = r"(someone|user|you)\b"
# a letter in brackets keeps this file from finding itself
FORBIDDEN = {
    "a path of one computer": r"(?<![\w.-])/(wor[k]|roo[t]|opt/pyp[i]|opt/wheel[s])(/|\b(?![\w.-]))",
    "somebody's home folder": rf"((?<![\w.])/(hom[e]|User[s])/|[A-Z]:\\+User[s]\\+)(?!{NOBODY})\w+",
    "a folder that a clone does not have": r"(?<![\w/.-])share[d]/",
    "a package registry": r"pyp[i]\.org|pythonhoste[d]\.org|pytorc[h]\.org/whl|anacond[a]\.(org|com)|npmj[s]\.",
    "an issue's number": r"(?i)\b(issu[e]|clos(e[s]?|ing)|fixe[sd]?|pull reques[t]|pr)\s+#\d+|\(#\d+\)",
    "who or what typed it": r"(?i)\b(claud[e]|anthropi[c]|chatgp[t]|copilo[t])\b|co-authore[d]-by",
    "the day's work": r"(?i)\b(this|my|previous|earlier|last|next) sessio[n]\b",
}


def forbidden_words(text: str) -> list[str]:
    return [f"{why}: {found[0]!r}" for why, pattern in FORBIDDEN.items() for found in re.finditer(pattern, text)]


def readable_text(path: Path) -> str:
    """A file's text; nothing for a binary file."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8", errors="replace")


def test_tracked_files_hold_no_forbidden_word(tracked_files: list[Path], root: Path) -> None:
    found = [
        (path.relative_to(root).as_posix(), word)
        for path in tracked_files
        for word in forbidden_words(readable_text(path))
    ]
    assert found == []


def test_the_rule_has_something_to_read(tracked_files: list[Path], root: Path) -> None:
    names = {path.relative_to(root).as_posix() for path in tracked_files}
    assert {"README.md", "pyproject.toml", "Testing/house/test_words.py"} <= names
    assert not any(name.startswith(".venv/") for name in names)


# the ~ keeps these from being found themselves
@pytest.mark.parametrize(
    "text",
    [
        "see /wo~rk/main/a.py",
        "cd /wo~rk",
        "in /ro~ot/.cache",
        "/ho~me/anna/data",
        r"C:\Us~ers\anna",
        "sha~red/METHOD.md",
        "https://py~pi.org/simple",
        "https://files.python~hosted.org/a",
        "fixes ~#12",
        "Add a report (~#7)",
        "Asked Cl~aude",
        "Co-author~ed-by: A",
        "as in the previous sess~ion",
    ],
)
def test_a_forbidden_word_is_found(text: str) -> None:
    assert len(forbidden_words(text.replace("~", ""))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "the network",
        "homework/3",
        "#12ab34 is a colour",
        "rooted/tree",
        "a DICOM session",
        "/home/someone/data",
        "shared memory",
        "/workspace",
    ],
)
def test_an_innocent_word_is_let_through(text: str) -> None:
    assert forbidden_words(text) == []
