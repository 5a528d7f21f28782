"""The disk image: made without root rights, sound, and booted through a real BIOS and SYSLINUX (test_run.py boots it)."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from emulator.disk import DISK_BYTES, PARTITION_BYTES, build_disk
from emulator.elf import BootImageError
from emulator.rom import Module
from emulator.trial import build_trial_kernel
from emulator.volume import PARTITION_START, check_file_system, read_file


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_trial_kernel(tmp_path_factory.mktemp("trial"))


def test_the_image_has_one_active_partition_with_a_sound_file_system(tmp_path: Path, kernel: Path) -> None:
    image = tmp_path / "disk.img"
    build_disk(image, kernel)
    sector = image.read_bytes()[:512]
    assert image.stat().st_size == DISK_BYTES
    assert sector[510:] == b"\x55\xaa" and any(sector[:440]), "boot code and signature"
    entries = [struct.unpack_from("<B3xB3xII", sector, 446 + 16 * i) for i in range(4)]
    assert entries == [(0x80, 0x0E, PARTITION_START // 512, PARTITION_BYTES // 512), (0,) * 4, (0,) * 4, (0,) * 4]
    check_file_system(image)


def test_a_damaged_file_system_is_noticed(tmp_path: Path, kernel: Path) -> None:
    image = tmp_path / "disk.img"
    build_disk(image, kernel)
    contents = bytearray(image.read_bytes())
    reserved_sectors = struct.unpack_from("<H", contents, PARTITION_START + 14)[0]
    first_table = PARTITION_START + reserved_sectors * 512
    contents[first_table + 4 : first_table + 400] = bytes(396)  # the chains of the first files
    image.write_bytes(contents)
    with pytest.raises(BootImageError, match="damaged"):
        check_file_system(image)


def test_kernel_modules_and_command_line_are_on_it(tmp_path: Path, kernel: Path) -> None:
    image = tmp_path / "disk.img"
    build_disk(image, kernel, command_line="test=map seed=0x1f2e", modules=[Module("script", b"say hello\n")])
    assert read_file(image, "kernel.elf") == kernel.read_bytes()
    assert read_file(image, "module00.bin") == b"say hello\n"
    configuration = read_file(image, "syslinux.cfg").decode()
    assert "APPEND kernel.elf test=map seed=0x1f2e --- module00.bin script\n" in configuration


@pytest.mark.parametrize("line", ["two\nlines", "kernel --- module", "x" * 1001])
def test_what_syslinux_cannot_pass_on_is_refused(tmp_path: Path, kernel: Path, line: str) -> None:
    with pytest.raises(BootImageError, match="SYSLINUX"):
        build_disk(tmp_path / "disk.img", kernel, command_line=line)
    assert list(tmp_path.iterdir()) == []


def test_a_kernel_larger_than_the_disk_is_refused_and_leaves_nothing(tmp_path: Path, kernel: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    large = tmp_path / "large.elf"
    large.write_bytes(kernel.read_bytes() + bytes(PARTITION_BYTES))
    with pytest.raises(BootImageError, match="cannot copy the kernel into the disk image"):
        build_disk(target / "disk.img", large)
    assert list(target.iterdir()) == []


def test_what_is_no_kernel_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kernel.elf"
    file.write_text("int main() {}")
    with pytest.raises(BootImageError, match="not a 32-bit"):
        build_disk(tmp_path / "disk.img", file)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path, kernel: Path) -> None:
    with pytest.raises(BootImageError, match="cannot write the disk image .*nowhere"):
        build_disk(tmp_path / "nowhere" / "disk.img", kernel)
