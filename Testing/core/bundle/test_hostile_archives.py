import stat
import zipfile
from pathlib import Path

import pytest

from cisfa.bundle.bundle_folder import open_bundle
from cisfa.errors import BundleError


def content_of(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_a_zip_that_someone_packed_again_is_still_the_bundle(zipped: Path) -> None:
    checksum = open_bundle(zipped).checksum
    content = content_of(zipped)
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in reversed(content):
            archive.writestr(name, content[name])

    assert open_bundle(zipped).checksum == checksum


def test_any_changed_byte_of_the_stored_content_is_detected(zipped: Path) -> None:
    packed = zipped.read_bytes()
    for file, content in content_of(zipped).items():
        if file == "manifest.json":
            continue
        tampered = bytearray(packed)
        tampered[packed.index(content) + len(content) // 2] ^= 0x80
        zipped.write_bytes(tampered)
        with pytest.raises(BundleError, match=file):
            open_bundle(zipped)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt",
        "inside/../../outside.txt",
        "/tmp/outside.txt",
        "C:\\outside.txt",
        "C:outside.txt",
        "..\\outside.txt",
        "folder/file.txt",
        "folder/",
        "..",
        "weights.safetensors:stream",
        "weights.safetensors ",
        "mänifest.json",
        "",
    ],
)
def test_an_entry_that_points_elsewhere_is_refused(zipped: Path, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"evil")

    with pytest.raises(BundleError, match="plain names"):
        open_bundle(zipped)
    assert list(tmp_path.iterdir()) == [zipped]


def test_a_name_that_hides_its_end_behind_a_zero_byte_is_refused(zipped: Path) -> None:
    hidden = zipped.read_bytes().replace(b"MODEL_CARD.md", b"MODEL_CARD\0md")
    zipped.write_bytes(hidden)

    with pytest.raises(BundleError):
        open_bundle(zipped)


def test_a_link_in_a_zip_is_refused(zipped: Path) -> None:
    content = content_of(zipped)
    link = zipfile.ZipInfo("MODEL_CARD.md")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr(link, b"/etc/passwd")
        for name in ("manifest.json", "weights.safetensors"):
            archive.writestr(name, content[name])

    with pytest.raises(BundleError, match=r"MODEL_CARD\.md.*link"):
        open_bundle(zipped)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors", "Weights.SafeTensors"])
def test_an_entry_that_is_there_twice_is_refused(zipped: Path, name: str) -> None:
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr(name, b"another")

    with pytest.raises(BundleError, match="twice"):
        open_bundle(zipped)


def test_an_entry_that_would_fill_the_disk_is_refused(zipped: Path) -> None:
    content = content_of(zipped)
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.safetensors", bytes(20 << 20))
        archive.writestr("manifest.json", content["manifest.json"])

    with pytest.raises(BundleError, match="would unpack to 20971520 bytes"):
        open_bundle(zipped)


def test_a_bundle_that_claims_terabytes_is_refused(zipped: Path) -> None:
    packed = bytearray(zipped.read_bytes())
    entry = -1
    while (entry := packed.find(b"PK\x01\x02", entry + 1)) >= 0:
        # packed and unpacked size in the central directory: just below 4 GiB each, in three entries
        packed[entry + 20 : entry + 28] = b"\xfe\xff\xff\xff" * 2
    zipped.write_bytes(packed)

    with pytest.raises(BundleError, match="8 GiB"):
        open_bundle(zipped)


def test_thousands_of_entries_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        for number in range(1000):
            archive.writestr(f"file{number}", b"")

    with pytest.raises(BundleError, match="more than 64"):
        open_bundle(tmp_path / "model.zip")


def test_an_encrypted_entry_is_refused(zipped: Path) -> None:
    packed = bytearray(zipped.read_bytes())
    packed[packed.index(b"PK\x01\x02") + 8] |= 0x1
    zipped.write_bytes(packed)

    with pytest.raises(BundleError, match="encrypted"):
        open_bundle(zipped)


def test_a_zip_cut_off_anywhere_is_refused(zipped: Path) -> None:
    packed = zipped.read_bytes()
    for length in (0, 1, 30, len(packed) // 4, len(packed) // 2, len(packed) - 30, len(packed) - 1):
        zipped.write_bytes(packed[:length])
        with pytest.raises(BundleError, match=r"model\.zip"):
            open_bundle(zipped)


def test_flipped_bytes_of_a_zip_never_give_another_error(zipped: Path) -> None:
    packed = zipped.read_bytes()
    expected = open_bundle(zipped)
    for place in range(0, len(packed), 11):
        tampered = bytearray(packed)
        tampered[place] ^= 0xFF
        zipped.write_bytes(tampered)
        try:
            found = open_bundle(zipped)
        except BundleError:
            continue
        assert found.checksum == expected.checksum
        assert found.manifest == expected.manifest


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_zip_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.zip").write_bytes(content)

    with pytest.raises(BundleError, match=r"model\.zip"):
        open_bundle(tmp_path / "model.zip")
