"""The registers as GDB numbers them, and the target description that tells it so."""

_GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip", "eflags")
_SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")
_FLOAT_CONTROL = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
_CONTROL = ("cr0", "cr2", "cr3", "cr4")

_FLOAT_HEX = b"x" * (8 * 20 + len(_FLOAT_CONTROL) * 8)  # x: not available
_NAMES = (*_GENERAL, *_SEGMENTS, *(f"st{i}" for i in range(8)), *_FLOAT_CONTROL, *_CONTROL)
WRITABLE = _GENERAL[:-1]  # by Bochs's debugger: all but the flags
_IN_BOCHS = {name: "r" + name[1:] for name in WRITABLE}  # it prints them under their 64-bit names

DEBUGGER_COMMAND = "r;creg;sreg"


def name_of(number: int) -> "str | None":
    """The register that GDB means by a number."""
    return _NAMES[number] if number < len(_NAMES) else None


def parse(text: str) -> "dict[str, int]":
    """All registers out of the debugger's answer to DEBUGGER_COMMAND."""
    found = {}
    for line in text.splitlines():
        head, colon, rest = line.partition(":")
        if line.startswith("CR"):
            name, _, value = line.partition("=")
            if name == "CR2":
                value = value.partition("=")[2]
            found[name.lower()] = int(value.partition(":")[0], 16)
        elif line.startswith("eflags "):
            found["eflags"] = int(head[7:], 16)
        elif colon and rest.startswith(" ") and "_" in rest:
            found[head.strip()] = int(rest.replace("_", ""), 16)
        elif head in _SEGMENTS and rest.startswith("0x"):
            found[head] = int(rest.partition(",")[0], 16)
    return {name: found[_IN_BOCHS.get(name, name)] & 0xFFFFFFFF for name in (*_GENERAL, *_SEGMENTS, *_CONTROL)}


def to_hex(value: int) -> bytes:
    """A 32-bit register as the protocol writes it: hexadecimal, in the target's byte order."""
    return value.to_bytes(4, "little").hex().encode()


def all_to_hex(values: "dict[str, int]") -> bytes:
    """The answer to a `g` packet."""
    before = b"".join(to_hex(values[name]) for name in (*_GENERAL, *_SEGMENTS))
    return before + _FLOAT_HEX + b"".join(to_hex(values[name]) for name in _CONTROL)


def one_to_hex(values: "dict[str, int]", number: int) -> bytes:
    """The answer to a `p` packet."""
    name = name_of(number)
    if name is None:
        return b"E00"
    if name in values:
        return to_hex(values[name])
    return b"x" * (20 if name.startswith("st") else 8)


def description() -> bytes:
    """target.xml: i386 with its x87 unit (GDB insists on it), and the control registers in a feature of their own."""
    lines = ['<?xml version="1.0"?>', '<!DOCTYPE target SYSTEM "gdb-target.dtd">', '<target version="1.0">']
    lines += ["<architecture>i386</architecture>", '<feature name="org.gnu.gdb.i386.core">', _flags_type()]
    types = {"esp": "data_ptr", "ebp": "data_ptr", "eip": "code_ptr", "eflags": "i386_eflags"}
    lines += [f'<reg name="{name}" bitsize="32" type="{types.get(name, "int32")}"/>' for name in (*_GENERAL, *_SEGMENTS)]
    lines += [f'<reg name="st{i}" bitsize="80" type="i387_ext"/>' for i in range(8)]
    lines += [f'<reg name="{name}" bitsize="32" type="int" group="float"/>' for name in _FLOAT_CONTROL]
    lines += ["</feature>", '<feature name="faultline.control">']
    lines += [f'<reg name="{name}" bitsize="32" type="uint32" group="system"/>' for name in _CONTROL]
    lines += ["</feature>", "</target>"]
    return "\n".join(lines).encode()


def _flags_type() -> str:
    bits = {"CF": 0, "PF": 2, "AF": 4, "ZF": 6, "SF": 7, "TF": 8, "IF": 9, "DF": 10, "OF": 11}
    bits |= {"NT": 14, "RF": 16, "VM": 17, "AC": 18, "VIF": 19, "VIP": 20, "ID": 21}
    fields = "".join(f'<field name="{name}" start="{bit}" end="{bit}"/>' for name, bit in bits.items())
    return f'<flags id="i386_eflags" size="4">{fields}</flags>'
