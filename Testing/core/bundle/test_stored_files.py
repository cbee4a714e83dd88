from pathlib import Path

import pytest

from cisfa.bundle.stored_files import is_plain_name, open_stored_files
from cisfa.errors import BundleError


@pytest.mark.parametrize("length", [0, 3, 5])
def test_a_file_that_changes_its_length_while_it_is_read_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    with open_stored_files(tmp_path) as files:
        (tmp_path / "a").write_bytes(bytes(length))

        with pytest.raises(BundleError, match="does not have 4 bytes"):
            files["a"].read()


def test_a_file_that_vanishes_while_it_is_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1234")
    with open_stored_files(tmp_path) as files:
        (tmp_path / "weights").unlink()

        with pytest.raises(BundleError, match=r"weights of .* cannot be read"):
            files["weights"].read()


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors", "_x", "A-1.b"])
def test_plain_names_are_plain(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "C:a", "a b", "a\n", "a\0", "-x", "x" * 101])
def test_other_names_are_not(name: str) -> None:
    assert not is_plain_name(name)
