#!/usr/bin/python3
"""Turn a Kconfig configuration into config.h: every option of kernel/Kconfig as `#define CONFIG_NAME 1` or `0`.

Usage: config.py CONFIG_FILE HEADER

An option that is missing from CONFIG_FILE gets its default; one that Kconfig does not know is an error, because a mistyped
name would otherwise silently mean its default.
"""

import sys
from pathlib import Path

import kconfiglib

KCONFIG = Path(__file__).resolve().parent.parent / "Kconfig"


def header_text(config: Path) -> str:
    """The text of config.h for one configuration file."""
    kconfig = kconfiglib.Kconfig(str(KCONFIG), warn_to_stderr=False)
    kconfig.warn_assign_undef = True
    kconfig.load_config(str(config))
    if kconfig.warnings:
        raise SystemExit("\n".join(kconfig.warnings))
    lines = ["// Made from the kernel's configuration; change it with `make menuconfig`.", "#pragma once", ""]
    lines += [f"#define CONFIG_{symbol.name} {int(symbol.str_value == 'y')}" for symbol in kconfig.unique_defined_syms]
    return "\n".join(lines) + "\n"


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    config, header = map(Path, sys.argv[1:])
    text = header_text(config)
    if not header.exists() or header.read_text() != text:  # an unchanged header must not rebuild the kernel
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(text)


if __name__ == "__main__":
    main()
