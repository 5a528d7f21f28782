"""What the processor's TLB holds for an address, as Bochs's `tlb` command shows it.

Bochs keeps a direct-mapped TLB of 4 KiB slots for data and one for code; a 4 MiB page fills a slot for each of its 4 KiB that
was touched. A slot says what accesses went through without a new walk: a page that was only read has no right to write in it.
"""

_USER_BITS = 0x02 | 0x08
_WRITE_BITS = 0x04 | 0x08
_GLOBAL_BIT = 0x80000000
_LARGE_MASK = 0x3FFFFF


def read(answer: str, address: int) -> "list[str]":
    """One line for each slot that holds the page of `address`: `data frame=0x... size=4K write=1 user=0 global=0`."""
    lines = []
    for kind, slot in zip(("code", "data"), _slots(answer)):
        line = _describe(kind, slot, address)
        if line:
            lines.append(line)
    return lines


def _slots(answer: str) -> "list[dict[str, int]]":
    """The code slot and the data slot, in the order that Bochs prints them."""
    slots: "list[dict[str, int]]" = []
    for line in answer.splitlines():
        if line.startswith("entry"):
            slots.append({})
        elif " = " in line and slots:
            name, _, value = line.partition(" = ")
            slots[-1][name.strip()] = int(value, 16)
    return slots


def _describe(kind: str, slot: "dict[str, int]", address: int) -> str:
    if slot["lpf"] == 0xFFFFFFFFFFFFFFFF or slot["lpf"] & 0xFFFFF000 != address & 0xFFFFF000:
        return ""
    bits = slot["accessBits"]
    if not bits:
        return ""
    size = "4M" if slot["lpf_mask"] & _LARGE_MASK == _LARGE_MASK else "4K"
    write = int(kind == "data" and bits & _WRITE_BITS != 0)
    return (
        f"{kind} frame={slot['ppf'] & 0xFFFFF000:#010x} size={size} write={write} "
        f"user={int(bits & _USER_BITS != 0)} global={int(bits & _GLOBAL_BIT != 0)}"
    )
