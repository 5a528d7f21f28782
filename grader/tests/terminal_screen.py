"""A screen of 80 columns, as plain as the kernel's: characters, backspace, carriage return, line feed, bell, and clearing it all."""

from __future__ import annotations


class Screen:
    COLUMNS = 80

    def __init__(self) -> None:
        self.lines = [""]
        self.cursor = 0

    def line(self) -> str:
        """The line with the cursor, without spaces at its end."""
        return self.lines[-1].rstrip(" ")

    def write(self, text: str) -> None:
        text = text.replace("\x1b[H\x1b[2J", "\f")
        for c in text:
            match c:
                case "\f": self.lines, self.cursor = [""], 0
                case "\n": self._next_line()
                case "\r": self.cursor = 0
                case "\b": self.cursor = max(self.cursor - 1, 0)
                case "\a": pass
                case _:
                    assert c.isprintable(), f"{c!r} would show as rubbish"
                    self._put(c)

    def _next_line(self) -> None:
        self.lines.append("")
        self.cursor = 0

    def _put(self, c: str) -> None:
        line = self.lines[-1].ljust(self.cursor)
        self.lines[-1] = line[: self.cursor] + c + line[self.cursor + 1 :]
        self.cursor += 1
        if self.cursor == self.COLUMNS:
            self._next_line()
