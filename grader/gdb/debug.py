"""For a kernel under GDB by hand: settings, and the commands walk, pt, tlb and phys that show its page tables.

    gdb -x grader/gdb/debug.py build/default/kernel.elf
    (gdb) target remote | grader/gdb/bridge --rom boot.rom --memory 32

`make debug LAB=02-paging` does all of it. QEMU's own stub serves these commands too, all but tlb.
"""

import gdb

_BITS = ((0x001, "present"), (0x002, "writable"), (0x004, "user"), (0x020, "accessed"), (0x040, "dirty"), (0x100, "global"))
_PAGE_SHIFT, _LARGE_SHIFT = 12, 22
_LARGE = 0x80


def physical(address, length):
    """Bytes of physical memory (QEMU's packet, which our bridge serves as well)."""
    connection = gdb.selected_inferior().connection
    if connection is None:
        raise gdb.GdbError("there is no machine: connect with `target remote | grader/gdb/bridge ...`")
    connection.send_packet("Qqemu.PhyMemMode:1")
    try:
        return gdb.selected_inferior().read_memory(address, length).tobytes()
    finally:
        connection.send_packet("Qqemu.PhyMemMode:0")


def words(address, count):
    """32-bit words of physical memory."""
    data = physical(address, 4 * count)
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]


def register(name):
    return int(gdb.newest_frame().read_register(name)) & 0xFFFFFFFF


def number(text):
    """An address: any expression that GDB knows."""
    value = gdb.parse_and_eval(text)
    if value.type.strip_typedefs().code not in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_ENUM):
        value = value.address
    return int(value.cast(gdb.lookup_type("unsigned long"))) & 0xFFFFFFFF


def rights(entry, leaf=True):
    """The bits of an entry, in words."""
    names = [name for bit, name in _BITS if entry & bit and (leaf or bit not in (0x040, 0x100))]
    return " ".join(names) if entry & 1 else "not present"


def slot(leaf):
    """The swap slot that an entry of a page table names, or None: to the kernel, any word that is neither present nor 0 names one."""
    return None if leaf & 1 or not leaf else leaf >> 8


def is_large(entry):
    return bool(entry & _LARGE and register("cr4") & 0x10)


_SETTINGS = (
    "set confirm off",
    "set pagination off",
    "set print pretty on",
    "set disassemble-next-line auto",
    "set remotetimeout 60",
    "set architecture i386",
)


class Command(gdb.Command):
    """One of ours; its help is the class's docstring."""

    def __init__(self):
        super().__init__(type(self).__name__.lower(), gdb.COMMAND_DATA)

    def arguments(self, text, least, most):
        found = gdb.string_to_argv(text)
        if not least <= len(found) <= most:
            raise gdb.GdbError(self.__doc__.splitlines()[0])
        return [number(word) for word in found]


class Walk(Command):
    """walk ADDR: the way of a linear address through page directory and page table, entry by entry."""

    def invoke(self, text, from_tty):
        (address,) = self.arguments(text, 1, 1)
        if not register("cr0") >> 31:
            print("paging is off: linear %#010x is physical %#010x" % (address, address))
            return
        directory = register("cr3") & ~0xFFF
        index = address >> _LARGE_SHIFT
        (entry,) = words(directory + 4 * index, 1)
        large = is_large(entry)
        print("%#010x  directory %#010x [%d] = %#010x  %s" % (address, directory, index, entry, rights(entry, large)))
        if not entry & 1:
            return
        if large:
            frame, offset = entry & 0xFFC00000, address & 0x3FFFFF
            print("            4 MiB page at %#010x: physical %#010x" % (frame, frame + offset))
            return
        table, index = entry & ~0xFFF, address >> _PAGE_SHIFT & 0x3FF
        (leaf,) = words(table + 4 * index, 1)
        swapped = "" if slot(leaf) is None else ", swapped to slot %d" % slot(leaf)
        print("            table     %#010x [%d] = %#010x  %s%s" % (table, index, leaf, rights(leaf), swapped))
        if leaf & 1:
            both = entry & leaf
            allowed = "%s, %s" % ("writable" if both & 2 else "read-only", "user" if both & 4 else "supervisor")
            frame, offset = leaf & ~0xFFF, address & 0xFFF
            print("            page at %#010x, %s by both levels: physical %#010x" % (frame, allowed, frame + offset))


class Pt(Command):
    """pt [FIRST [LAST]]: what is mapped or swapped (from FIRST up to LAST), as runs of pages with equal rights."""

    def invoke(self, text, from_tty):
        bounds = self.arguments(text, 0, 2)
        first, last = (bounds + [0, 0xFFFFFFFF][len(bounds) :])[:2]
        runs = []
        for virtual, frame, length, bits in all_pages(first, last):
            if runs and runs[-1][3] == bits and runs[-1][0] + runs[-1][2] == virtual and runs[-1][1] + runs[-1][2] == frame:
                runs[-1][2] += length
            else:
                runs.append([virtual, frame, length, bits])
        for virtual, frame, length, bits in runs:
            if bits == "swapped":
                print("%#010x-%#010x in slot %-5d %8d KiB  %s" % (virtual, virtual + length - 1, frame >> _PAGE_SHIFT, length >> 10, bits))
                continue
            print("%#010x-%#010x -> %#010x  %8d KiB  %s" % (virtual, virtual + length - 1, frame, length >> 10, bits))
        if not runs:
            print("nothing is mapped there")


def all_pages(first, last):
    """(linear, physical, length, rights) of each present page, rights as both levels grant them; of a swapped page, its slot as a frame."""
    directory = words(register("cr3") & ~0xFFF, 1024)
    for index in range(first >> _LARGE_SHIFT, (last >> _LARGE_SHIFT) + 1):
        entry, base = directory[index], index << _LARGE_SHIFT
        if not entry & 1:
            continue
        if is_large(entry):
            yield base, entry & 0xFFC00000, 1 << _LARGE_SHIFT, grant(entry, entry) + " 4M"
            continue
        for number, leaf in enumerate(words(entry & ~0xFFF, 1024)):
            virtual = base + (number << _PAGE_SHIFT)
            if not leaf or not first & ~0xFFF <= virtual <= last:
                continue
            if leaf & 1:
                yield virtual, leaf & ~0xFFF, 1 << _PAGE_SHIFT, grant(entry, leaf)
            else:
                yield virtual, slot(leaf) << _PAGE_SHIFT, 1 << _PAGE_SHIFT, "swapped"


def grant(entry, leaf):
    both = entry & leaf
    return "%s %s%s" % ("rw" if both & 2 else "r-", "user" if both & 4 else "supervisor", " global" if leaf & 0x100 else "")


class Tlb(Command):
    """tlb ADDR...: what the TLB holds for these pages. An entry that differs from `walk` is stale."""

    def invoke(self, text, from_tty):
        addresses = self.arguments(text, 1, 64)
        gdb.execute("monitor tlb " + " ".join("%#x" % address for address in addresses))


class Phys(Command):
    """phys ADDR [WORDS]: words of physical memory (4 of them)."""

    def invoke(self, text, from_tty):
        address, count = (self.arguments(text, 1, 2) + [4])[:2]
        values = words(address, count)
        for index in range(0, len(values), 4):
            row = "  ".join("%08x" % value for value in values[index : index + 4])
            print("%#010x:  %s" % (address + 4 * index, row))


for setting in _SETTINGS:
    gdb.execute(setting, to_string=True)
for command in (Walk, Pt, Tlb, Phys):
    command()
