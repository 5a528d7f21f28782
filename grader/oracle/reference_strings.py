"""Strings of page numbers, made from a seed: what programs do to their memory, in six kinds.

    locality   few pages at a time, and these change slowly, one after the other
    loop       one loop, somewhat longer than memory, again and again
    scan       pages that are used all the time, and between them a long walk over pages that are used once
    zipf       a few pages very often, many seldom (Zipf's law)
    phases     one set of pages, then all at once another
    mixed      pieces of all the others
"""

from __future__ import annotations

from random import Random

NAMES = ("locality", "loop", "scan", "zipf", "phases", "mixed")
PAGES = 64  # a string names pages below this


def make(name: str, random: Random, length: int, frames: int) -> list[int]:
    """A string that is interesting for a memory of `frames` frames: it uses more pages than that, and fewer than PAGES."""
    string = _MAKERS[name](random, length, frames)
    names = random.sample(range(PAGES), PAGES)  # pages are not told by their numbers
    return [names[page] for page in string]


def make_all(random: Random, length: int, frames: int) -> dict[str, list[int]]:
    return {name: make(name, random, length, frames) for name in NAMES}


def _locality(random: Random, length: int, frames: int) -> list[int]:
    begin, width = random.randrange(PAGES), max(frames * 5 // 8, 2)
    string = []
    for _ in range(length):
        if random.random() < 0.08:
            begin += 1
        far = random.random() < 0.05
        string.append(random.randrange(PAGES) if far else (begin + random.randrange(width)) % PAGES)
    return string


def _loop(random: Random, length: int, frames: int) -> list[int]:
    period = frames + max(frames // 4, 1) + random.randrange(max(frames // 8, 1))
    return [i % period for i in range(length)]


def _scan(random: Random, length: int, frames: int) -> list[int]:
    hot, at, string = max(frames // 2, 1), 0, []
    for i in range(length):
        if i // (4 * frames) % 2 == 0 or random.random() < 0.6:
            string.append(random.randrange(hot))
        else:
            string.append(hot + at % (PAGES - hot))
            at += 1
    return string


def _zipf(random: Random, length: int, frames: int) -> list[int]:
    weights = [1 / (rank + 1) for rank in range(PAGES)]
    return random.choices(range(PAGES), weights, k=length)


def _phases(random: Random, length: int, frames: int) -> list[int]:
    string: list[int] = []
    while len(string) < length:
        pages = random.sample(range(PAGES), frames * 7 // 8)
        string += random.choices(pages, k=random.randrange(5, 10) * frames)
    return string[:length]


def _mixed(random: Random, length: int, frames: int) -> list[int]:
    string: list[int] = []
    makers = [_locality, _loop, _scan, _zipf, _phases]
    while len(string) < length:
        random.shuffle(makers)
        for maker in makers:
            string += maker(random, 4 * frames, frames)
    return string[:length]


_MAKERS = {"locality": _locality, "loop": _loop, "scan": _scan, "zipf": _zipf, "phases": _phases, "mixed": _mixed}
