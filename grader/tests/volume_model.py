"""What a FAT16 volume should do, as plain Python: files are bytes, folders are lists of slots, clusters are only counted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = re.compile(r"[a-z0-9$%'\-_@~`!(){}^#&]{1,8}(\.[a-z0-9$%'\-_@~`!(){}^#&]{1,3})?")
ENTRY_BYTES = 32
LARGEST = 2**32 - 1


def pattern(seed: int, position: int, length: int) -> bytes:
    """As grader/guest/volume_verbs.cpp writes it."""
    return bytes((seed + at * 167 + (at >> 8) * 13) & 0xFF for at in range(position, position + length))


def checksum(data: bytes) -> int:
    """FNV-1a."""
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


class Refused(Exception):
    """An operation ends in this error of the kernel's."""


@dataclass
class File:
    data: bytearray = field(default_factory=bytearray)
    opened: int = 0


@dataclass
class Folder:
    """Slots are reused from the first free one; None is a deleted entry, "" an entry that is nobody's file (a label, "." and "..")."""

    slots: list[str | None]
    entries: dict[str, File | Folder] = field(default_factory=dict)
    clusters: int = 1


class Volume:
    """`free` clusters of `cluster_bytes` at the beginning."""

    def __init__(self, cluster_bytes: int, free: int, root_entries: int = 512) -> None:
        self.cluster_bytes = cluster_bytes
        self.free = free
        self.root_entries = root_entries
        self.root = Folder([""])  # the volume's label
        self.handles: list[tuple[str, File | Folder] | None] = []

    # paths

    def _part(self, text: str) -> str:
        if not _NAME.fullmatch(text.lower()):
            raise Refused("InvalidArgument")
        return text.lower()

    def _parts(self, path: str) -> tuple[Folder, str]:
        parts = [part for part in path.split("/") if part]
        names = [self._part(part) for part in parts]
        if not parts:
            return self.root, ""
        if len(parts) > 2:
            raise Refused("InvalidArgument")
        if len(parts) == 1:
            return self.root, names[0]
        folder = self.root.entries.get(names[0])
        if not isinstance(folder, Folder):
            raise Refused("NotFound")
        return folder, names[1]

    def _existing(self, path: str) -> tuple[Folder, str]:
        try:
            return self._parts(path)
        except Refused:
            raise Refused("NotFound") from None

    # clusters

    def clusters_for(self, length: int) -> int:
        return -(-length // self.cluster_bytes)

    def room(self, file: File) -> int:
        return min((self.clusters_for(len(file.data)) + self.free) * self.cluster_bytes, LARGEST)

    def _resize(self, file: File, length: int) -> None:
        self.free -= self.clusters_for(length) - self.clusters_for(len(file.data))
        if length < len(file.data):
            del file.data[length:]
        else:
            file.data += bytes(length - len(file.data))

    def _add(self, folder: Folder, name: str, entry: File | Folder) -> None:
        extra = 1 if isinstance(entry, Folder) else 0
        if None in folder.slots:
            slot = folder.slots.index(None)
        else:
            slot = len(folder.slots)
            room = self.root_entries if folder is self.root else folder.clusters * (self.cluster_bytes // ENTRY_BYTES)
            if slot == room:
                if folder is self.root or self.free == 0:
                    raise Refused("NoSpace")
                folder.clusters += 1
                self.free -= 1
            folder.slots.append(None)
        if self.free < extra:
            raise Refused("NoSpace")
        self.free -= extra
        folder.slots[slot] = name
        folder.entries[name] = entry

    # the operations, as verbs of the guest

    def _opened(self, name: str, entry: File | Folder) -> tuple[int, ...]:
        if None not in self.handles:
            self.handles.append(None)
        handle = self.handles.index(None)
        self.handles[handle] = (name, entry)
        if isinstance(entry, Folder):
            return handle, 0, 1
        entry.opened += 1
        return handle, len(entry.data), 0, entry.opened

    def open(self, path: str) -> tuple[int, ...]:
        folder, name = self._existing(path)
        if name == "":
            return self._opened("/", self.root)
        if name not in folder.entries:
            raise Refused("NotFound")
        return self._opened(name, folder.entries[name])

    def create(self, path: str) -> tuple[int, ...]:
        folder, name = self._parts(path)
        entry = folder.entries.get(name)
        if name == "" or isinstance(entry, Folder):
            raise Refused("WrongKind")
        if entry is None:
            entry = File()
            self._add(folder, name, entry)
        self._resize(entry, 0)
        return self._opened(name, entry)

    def close(self, handle: int) -> tuple[int, ...]:
        entry = self._file(handle)
        if isinstance(entry, File):
            entry.opened -= 1
        self.handles[handle] = None
        return ()

    def _file(self, handle: int) -> File | Folder:
        opened = self.handles[handle]
        assert opened is not None
        return opened[1]

    def _plain(self, handle: int) -> File:
        entry = self._file(handle)
        if isinstance(entry, Folder):
            raise Refused("WrongKind")
        return entry

    def write(self, handle: int, position: int, length: int, seed: int) -> tuple[int, ...]:
        file = self._plain(handle)
        if length == 0:
            return (0,)
        if position >= self.room(file):
            raise Refused("NoSpace")
        end = min(position + length, self.room(file))
        self._resize(file, max(end, len(file.data)))
        file.data[position:end] = pattern(seed, position, end - position)
        return (end - position,)

    def read(self, handle: int, position: int, length: int) -> tuple[int, ...]:
        data = bytes(self._plain(handle).data[position : position + length])
        return len(data), checksum(data)

    def truncate(self, handle: int, length: int) -> tuple[int, ...]:
        file = self._plain(handle)
        if length > len(file.data) and length > self.room(file):
            raise Refused("NoSpace")
        self._resize(file, length)
        return ()

    def remove(self, path: str) -> tuple[int, ...]:
        folder, name = self._existing(path)
        if name == "":
            raise Refused("WrongKind")
        entry = folder.entries.get(name)
        if entry is None:
            raise Refused("NotFound")
        if isinstance(entry, Folder):
            raise Refused("WrongKind")
        if entry.opened:
            raise Refused("Busy")
        self._resize(entry, 0)
        del folder.entries[name]
        folder.slots[folder.slots.index(name)] = None
        return ()

    def mkdir(self, path: str) -> tuple[int, ...]:
        folder, name = self._parts(path)
        if name == "":
            raise Refused("Exists")
        if folder is not self.root:
            raise Refused("InvalidArgument")
        if name in folder.entries:
            raise Refused("Exists")
        self._add(folder, name, Folder(["", ""]))
        return ()

    def entry(self, path: str, index: int) -> tuple[int, ...]:
        folder, name = self._existing(path)
        if folder is not self.root:
            raise Refused("NotFound")
        listed: File | Folder | None = folder if name == "" else folder.entries.get(name)
        if not isinstance(listed, Folder):
            raise Refused("NotFound")
        names = [slot for slot in listed.slots if slot]
        if index >= len(names):
            raise Refused("NotFound")
        found = listed.entries[names[index]]
        words = [int.from_bytes(names[index].encode().ljust(16, b"\0")[at : at + 4], "little") for at in range(0, 16, 4)]
        return (1, 0, *words) if isinstance(found, Folder) else (0, len(found.data), *words)

    def statistics(self) -> tuple[int, ...]:
        return (self.free,)  # the last of the three

    def files(self) -> dict[str, bytes]:
        """All files by their paths."""
        found = {}
        for name, entry in self.root.entries.items():
            if isinstance(entry, File):
                found[name] = bytes(entry.data)
            else:
                found |= {f"{name}/{inner}": bytes(file.data) for inner, file in entry.entries.items() if isinstance(file, File)}
        return found
