"""What page tables mean, as runs of pages, and where two such meanings differ, in words: `compare()`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

PAGE = 4096
ADDRESS_SPACE = 1 << 32


@dataclass(frozen=True, order=True)
class PageRun:
    """Linear addresses [virtual, virtual + length) that lie on [physical, physical + length) with the same rights.

    With `swapped` they lie in the swap area, in slots in a row: `physical` then counts from its beginning, and there are no rights.
    """

    virtual: int
    physical: int
    length: int
    writable: bool = False
    user: bool = False
    global_: bool = False
    large: bool = False
    swapped: bool = False

    @property
    def end(self) -> int:
        """One past the last linear address."""
        return self.virtual + self.length

    @property
    def pages(self) -> int:
        """How many units of 4 KiB this covers, whatever the page size."""
        return self.length // PAGE

    @property
    def frame(self) -> int:
        """The number of the first frame; of swapped pages, their first slot."""
        return self.physical // PAGE

    @property
    def rights(self) -> str:
        """In words: "writable user", "read-only global supervisor"; "swapped" for those that the CPU may not use at all."""
        if self.swapped:
            return "swapped"
        words = ["writable" if self.writable else "read-only"]
        if self.global_:
            words.append("global")
        words.append("user" if self.user else "supervisor")
        return " ".join(words)

    def part(self, begin: int, end: int) -> PageRun:
        """The part of this run in [begin, end), which must overlap it."""
        first = max(begin, self.virtual)
        return replace(self, virtual=first, physical=self.physical + first - self.virtual,
                       length=min(end, self.end) - first)


def coalesce(runs: Iterable[PageRun], *, sizes: bool = False) -> list[PageRun]:
    """Sorted runs, neighbours joined where memory and rights continue. Without `sizes`, 4 KiB and 4 MiB pages join too."""
    result: list[PageRun] = []
    for run in sorted(runs, key=lambda run: run.virtual):
        last = result[-1] if result else None
        if (last and run.virtual == last.end and run.physical == last.physical + last.length
                and (run.writable, run.user, run.global_, run.swapped) == (last.writable, last.user, last.global_, last.swapped)
                and (not sizes or run.large == last.large)):
            result[-1] = replace(last, length=last.length + run.length, large=last.large and run.large)
        else:
            result.append(run)
    return result


# -- comparing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """One stretch of addresses where two sets of pages disagree, in a sentence."""

    kind: str  # "missing", "unexpected", "swapped" (one side), "frame", "rights", "size"; "more" for the line about those left out
    virtual: int
    length: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass
class _Stretch:
    """Neighbouring segments that disagree in the same way."""

    kind: str
    expected: list[PageRun]
    actual: list[PageRun]
    begin: int
    end: int


def compare(expected: Iterable[PageRun], actual: Iterable[PageRun], begin: int = 0, end: int = ADDRESS_SPACE, *,
            sizes: bool = False, globals_: bool = True, limit: int = 16,
            words: tuple[str, str] = ("expected", "seen")) -> list[Difference]:
    """Where two sets of pages disagree within [begin, end): nothing if they mean the same.

    Meaning is compared, not bits: which memory, and the rights of both levels together. Accessed, dirty and available bits
    play no part; whether a stretch is made of 4 KiB or 4 MiB pages only with `sizes`; the global bit unless `globals_` is
    False. Neighbouring pages that disagree alike make one difference, and at most `limit` are told; a last one of kind
    "more" then counts the rest. `words` name the two sides in the sentences.
    """
    stretches: list[_Stretch] = []
    for first, last, want, seen in _segments(_clip(expected, begin, end), _clip(actual, begin, end)):
        kind = _kind(want, seen, sizes, globals_)
        if kind:
            _append(stretches, kind, want, seen, first, last, sizes)
    told = [Difference(s.kind, s.begin, s.end - s.begin, _sentence(s, sizes, words)) for s in stretches[:limit]]
    rest = stretches[limit:]
    if rest:
        pages = sum(s.end - s.begin for s in rest) // PAGE
        told.append(Difference("more", rest[0].begin, rest[-1].end - rest[0].begin,
                               f"and {len(rest)} more ranges ({pages} pages) between {rest[0].begin:#010x} and {rest[-1].end:#010x}"))
    return told


def _clip(runs: Iterable[PageRun], begin: int, end: int) -> list[PageRun]:
    return [run.part(begin, end) for run in coalesce(runs, sizes=True) if run.end > begin and run.virtual < end]


def _segments(left: list[PageRun], right: list[PageRun]) -> Iterator[tuple[int, int, PageRun | None, PageRun | None]]:
    """Cuts the address space where either side changes: (begin, end, part of left or None, part of right or None)."""
    edges = sorted({edge for run in (*left, *right) for edge in (run.virtual, run.end)})
    i = j = 0
    for first, last in zip(edges, edges[1:]):
        while i < len(left) and left[i].end <= first:
            i += 1
        while j < len(right) and right[j].end <= first:
            j += 1
        a = left[i].part(first, last) if i < len(left) and left[i].virtual <= first else None
        b = right[j].part(first, last) if j < len(right) and right[j].virtual <= first else None
        if a or b:
            yield first, last, a, b


def _kind(want: PageRun | None, seen: PageRun | None, sizes: bool, globals_: bool) -> str:
    if want is None or seen is None:
        return "" if want is seen else "missing" if seen is None else "unexpected"
    if want.swapped != seen.swapped:
        return "swapped"
    if want.physical != seen.physical:
        return "frame"
    if (want.writable, want.user) != (seen.writable, seen.user) or (globals_ and want.global_ != seen.global_):
        return "rights"
    return "size" if sizes and want.large != seen.large else ""


def _append(stretches: list[_Stretch], kind: str, want: PageRun | None, seen: PageRun | None, first: int, last: int,
            sizes: bool) -> None:
    """Adds a segment to the last stretch if it continues it in the same way, or starts a new one."""
    if stretches:
        stretch = stretches[-1]
        if (stretch.kind == kind and stretch.end == first and _alike(stretch.expected, want, sizes)
                and _alike(stretch.actual, seen, sizes)):
            stretch.end = last
            stretch.expected += [want] if want else []
            stretch.actual += [seen] if seen else []
            return
    stretches.append(_Stretch(kind, [want] if want else [], [seen] if seen else [], first, last))


def _alike(runs: list[PageRun], run: PageRun | None, sizes: bool) -> bool:
    if not runs or run is None:
        return not runs and run is None
    return runs[0].rights == run.rights and (not sizes or runs[0].large == run.large)


def _sentence(stretch: _Stretch, sizes: bool, words: tuple[str, str]) -> str:
    pages = (stretch.end - stretch.begin) // PAGE
    where = f"{stretch.begin:#010x}"
    if pages > 1:
        where += f" to {stretch.end - 1:#010x} ({pages} pages)"
    return f"{where}: {words[0]} {_in_words(stretch.expected, sizes)}, {words[1]} {_in_words(stretch.actual, sizes)}"


def _in_words(runs: list[PageRun], sizes: bool) -> str:
    if not runs:
        return "nothing mapped"
    pages = sum(run.pages for run in runs)
    noun = "page" if pages == 1 else "pages"
    if sizes and not runs[0].swapped:
        noun = f"{'4 MiB' if runs[0].large else '4 KiB'} {noun}"
    swapped = runs[0].swapped
    place, number = ("in slot", str) if swapped else ("-> frame", hex)
    if pages == 1:
        return f"{runs[0].rights} {noun} {place} {number(runs[0].frame)}"
    row = all(b.physical == a.physical + a.length for a, b in zip(runs, runs[1:]))
    places = f"{number(runs[0].frame)} to {number(runs[0].frame + pages - 1)}" if row else _listed([number(run.frame) for run in runs])
    return f"{runs[0].rights} {noun} {place}s {places}"


def _listed(places: list[str]) -> str:
    """A few frames or slots that do not lie in a row."""
    return ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")
