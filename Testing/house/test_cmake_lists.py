"""House rules about what CMake installs: every file is listed, once; beside the rules the proof that they can fail.

To list a new file, write its path into the CMakeLists.txt of its folder: of ``src``, or of the module.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

CALL = re.compile(r"slicerMacroBuildScriptedModule\(([^)]*)\)")
KEYWORDS = {"NAME", "SCRIPTS", "RESOURCES", "WITH_GENERIC_TESTS", "WITH_SUBDIR"}
# what a package of Python has and Slicer does not need
NOT_INSTALLED = {"CMakeLists.txt", "py.typed"}


def code_of(cmake: str) -> str:
    """CMake without its comments."""
    return re.sub(r"#[^\n]*", "", cmake)


def listed_files(cmake: str, keyword: str) -> list[str]:
    """The files that a CMakeLists.txt names after SCRIPTS or RESOURCES, in its order."""
    found, current = [], ""
    for call in CALL.findall(code_of(cmake)):
        for word in call.split():
            if word in KEYWORDS:
                current = word
            elif current == keyword:
                found.append(word)
    return found


def complaints(cmake: str, files: Iterable[str]) -> list[str]:
    """What is wrong with a CMakeLists.txt, given the files of its folder."""
    scripts, resources = listed_files(cmake, "SCRIPTS"), listed_files(cmake, "RESOURCES")
    listed, present = scripts + resources, set(files)
    return [
        *(f"{name} is not listed" for name in sorted(present.difference(listed))),
        *(f"{name} is listed and does not exist" for name in sorted(set(listed) - present)),
        *(f"{name} is listed twice" for name in sorted({name for name in listed if listed.count(name) > 1})),
        *(f"{name} is no script" for name in scripts if not name.endswith(".py")),
        *(f"{name} is no resource" for name in resources if name.endswith(".py")),
    ]


def misplaced(module: str, files: Iterable[str]) -> list[str]:
    """Files of a module's folder that would be taken for modules, or meet another module's file when installed."""
    found = []
    for name in files:
        path = Path(name)
        is_loose_module = path.parts == (f"{module}.py",)
        is_library = path.parts[0] == f"{module}Lib"
        is_resource = path.parts[0] == "Resources" and path.name.startswith(module)
        if not (is_loose_module or is_library or is_resource):
            found.append(name)
    return found


def files_below(folder: Path, tracked_files: list[Path]) -> list[str]:
    inside = [path for path in tracked_files if path.is_relative_to(folder) and path.name not in NOT_INSTALLED]
    return [path.relative_to(folder).as_posix() for path in inside]


def listing_folders(root: Path) -> list[Path]:
    return [root / "src", *sorted(path for path in root.glob("CISFA*") if path.is_dir())]


def test_every_file_is_listed_once(root: Path, tracked_files: list[Path]) -> None:
    found = {
        folder.name: complaints(
            (folder / "CMakeLists.txt").read_text(encoding="utf-8"), files_below(folder, tracked_files)
        )
        for folder in listing_folders(root)
    }
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_every_folder_is_built(root: Path) -> None:
    built = re.findall(r"add_subdirectory\((\w+)\)", code_of((root / "CMakeLists.txt").read_text(encoding="utf-8")))
    assert sorted(built) == sorted(folder.name for folder in listing_folders(root))


def test_no_file_would_be_taken_for_a_module_or_meet_anothers(root: Path, tracked_files: list[Path]) -> None:
    source, *modules = listing_folders(root)
    assert [name for name in files_below(source, tracked_files) if "/" not in name] == []
    assert [wrong for folder in modules for wrong in misplaced(folder.name, files_below(folder, tracked_files))] == []


def test_what_slicers_test_run_is_given_exists(root: Path) -> None:
    for folder in listing_folders(root):
        cmake = code_of((folder / "CMakeLists.txt").read_text(encoding="utf-8"))
        for script in re.findall(r"slicer_add_python_unittest\(SCRIPT ([^)\s]+)\)", cmake):
            assert script.startswith("${CISFA_SOURCE_DIR}/"), "Slicer looks beside its own program for other paths"
            assert (root / script.removeprefix("${CISFA_SOURCE_DIR}/")).is_file()


def test_the_rules_have_something_to_read(root: Path, tracked_files: list[Path]) -> None:
    names = files_below(root / "src", tracked_files)
    assert {"cisfa/cli/main.py", "cisfa/imaging/organ_catalogue.json", "cisfa_slicer/job.py"} <= set(names)
    assert "cisfa/cli/main.py" in listed_files((root / "src" / "CMakeLists.txt").read_text(encoding="utf-8"), "SCRIPTS")


LIST = "slicerMacroBuildScriptedModule(\n  NAME A\n  SCRIPTS\n    a.py\n    p/b.py\n  RESOURCES\n    p/c.json\n  )"
FILES = ("a.py", "p/b.py", "p/c.json")


@pytest.mark.parametrize(
    ("cmake", "files", "complaint"),
    [
        (LIST, (*FILES, "p/d.py"), "p/d.py is not listed"),
        (LIST.replace("p/b.py", "# p/b.py"), FILES, "p/b.py is not listed"),
        (LIST, ("a.py", "p/c.json"), "p/b.py is listed and does not exist"),
        (LIST.replace("a.py", "a.py\n    a.py"), FILES, "a.py is listed twice"),
        (
            LIST.replace("SCRIPTS", "SCRIPTS p/c.json").replace("RESOURCES\n    p/c.json", ""),
            FILES,
            "c.json is no script",
        ),
        (LIST.replace("RESOURCES", "RESOURCES p/b.py").replace("    p/b.py\n", ""), FILES, "p/b.py is no resource"),
    ],
)
def test_a_mistake_in_a_list_is_found(cmake: str, files: tuple[str, ...], complaint: str) -> None:
    (found,) = complaints(cmake, files)
    assert complaint in found


def test_a_list_that_names_every_file_is_let_through() -> None:
    assert complaints(LIST, FILES) == []
    assert listed_files(LIST, "SCRIPTS") == ["a.py", "p/b.py"]


def test_a_misplaced_file_is_found() -> None:
    right = ["CISFAx.py", "CISFAxLib/a.py", "Resources/UI/CISFAx.ui", "Resources/CISFAxData.zip"]
    assert misplaced("CISFAx", right) == []
    wrong = ["loose.py", "Resources/UI/panel.ui", "OtherLib/a.py"]
    assert misplaced("CISFAx", wrong) == wrong
