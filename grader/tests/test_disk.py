"""The disk image: made without root rights, sound, and booted through a real BIOS and SYSLINUX (test_run.py boots it)."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from emulator.disk import DISK_BYTES, PARTITION_BYTES, build_disk, build_program_disk, program_disk, programs_in
from emulator.elf import BootImageError
from emulator.rom import Module
from emulator.trial import build_trial_kernel
from emulator.volume import PARTITION_START, add_files, check_file_system, copy_image, list_files, read_file


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


def test_programs_lie_beside_the_kernel(tmp_path: Path, kernel: Path) -> None:
    image, folder = tmp_path / "disk.img", tmp_path / "programs"
    folder.mkdir()
    for name, data in (("init", b"one"), ("shell", b"two"), ("shell.debug", b"for GDB")):
        (folder / name).write_bytes(data)
    build_disk(image, kernel, files=programs_in(folder))
    check_file_system(image)
    assert {name: size for name, size in list_files(image).items() if name.startswith("bin/")} == {"bin/init": 3, "bin/shell": 3}
    assert read_file(image, "/bin/shell") == b"two" and read_file(image, "kernel.elf") == kernel.read_bytes()


def test_a_folder_of_programs_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BootImageError, match="nowhere"):
        programs_in(tmp_path / "nowhere")


def test_the_same_files_make_the_same_disk(tmp_path: Path) -> None:
    files = {"bin/a": b"1" * 5000, "etc/b": b"2", "c.txt": b"", "A long name.txt": b"4"}
    images = [tmp_path / "first.img", tmp_path / "second.img"]
    for image in images:
        build_program_disk(image, files, megabytes=4)
        subprocess.run(["touch", "-d", "2001-01-01", image], check=True)
    assert images[0].read_bytes() == images[1].read_bytes()
    check_file_system(images[0])
    assert list_files(images[0], folders=True) == {"alongn~1.txt": 1, "c.txt": 0, "bin/": 0, "bin/a": 5000, "etc/": 0, "etc/b": 1}
    assert images[0].stat().st_size == PARTITION_START + (4 << 20) and images[0].stat().st_blocks * 512 < 200_000, "holes stay holes"


def test_a_disk_is_kept_for_whoever_wants_it_again() -> None:
    first = program_disk({"bin/a": b"1"})
    assert program_disk({"bin/a": b"1"}) == first != program_disk({"bin/a": b"2"})
    assert list_files(first) == {"bin/a": 1}


def test_an_empty_disk_has_no_files_and_takes_some_later(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    build_program_disk(image, {})
    assert list_files(image) == {}
    add_files(image, {"bin/a": b"1"})
    add_files(image, {"bin/b": b"22", "c": b"333"})
    assert list_files(image) == {"bin/a": 1, "bin/b": 2, "c": 3}
    check_file_system(image)


def test_a_copy_is_equal_and_takes_no_more_room(tmp_path: Path) -> None:
    image, copy = tmp_path / "disk.img", tmp_path / "copy.img"
    build_program_disk(image, {"a": bytes(range(256)) * 1000}, megabytes=16)
    copy_image(image, copy)
    assert copy.read_bytes() == image.read_bytes() and copy.stat().st_blocks <= image.stat().st_blocks
    copy_image(image, copy, PARTITION_START)
    assert copy.read_bytes() == image.read_bytes()[PARTITION_START:]


def test_what_is_not_on_a_disk_is_named(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    build_program_disk(image, {"a": b"1"})
    with pytest.raises(BootImageError, match="cannot read bin/none from the disk image"):
        read_file(image, "bin/none")


def test_files_that_do_not_fit_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(BootImageError, match="cannot copy a file into the disk image"):
        build_program_disk(tmp_path / "disk.img", {"big": bytes(4 << 20)}, megabytes=3)
    assert list(tmp_path.iterdir()) == []
