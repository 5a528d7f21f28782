"""Lab 10's model: textbook examples, rule by rule, and what must hold for every string."""

from __future__ import annotations

from random import Random

import pytest

from labs.replace_score import CURVE, FRAMES, FULL, LENGTH, gap_closed, make_strings, mean, share, with_another_end
from oracle import reference_strings
from oracle.replacement import CLEANINGS, POLICIES, WINDOW, Memory, count_faults, count_faults_of_min, run_string

BELADY = [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5]  # Belady, Nelson and Shedler 1969
SILBERSCHATZ = [7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1]  # Operating System Concepts, 10.4


def with_pages(kind: str, count: int) -> Memory:
    """Pages 0, 1, ... have come, and none has been used since."""
    memory = Memory(kind)
    for page in range(count):
        memory.use(page)
    for usage in memory.usage.values():
        usage.accessed.clear()
    return memory


def take_all(memory: Memory) -> list[object]:
    return [memory.take() for _ in range(memory.policy.count)]


# -- FIFO and MIN ------------------------------------------------------------------------------------------------------------


def test_beladys_anomaly() -> None:
    assert [count_faults("fifo", BELADY, frames) for frames in (3, 4)] == [9, 10]
    assert [count_faults_of_min(BELADY, frames) for frames in (3, 4)] == [7, 6]


def test_the_textbook_string() -> None:
    assert count_faults("fifo", SILBERSCHATZ, 3) == 15
    assert count_faults_of_min(SILBERSCHATZ, 3) == 9


def test_fifo_ignores_uses() -> None:
    memory = with_pages("fifo", 4)
    for page in (0, 0, 3):
        memory.use(page)
    assert take_all(memory) == [0, 1, 2, 3]


def brute_force(string: tuple[int, ...], frames: int, memory: frozenset[int] = frozenset()) -> int:
    """The fewest faults, by trying every victim."""
    if not string:
        return 0
    page, rest = string[0], string[1:]
    if page in memory:
        return brute_force(rest, frames, memory)
    if len(memory) < frames:
        return 1 + brute_force(rest, frames, memory | {page})
    return 1 + min(brute_force(rest, frames, memory - {victim} | {page}) for victim in memory)


def test_min_is_the_optimum() -> None:
    random = Random(5)
    for _ in range(60):
        string = [random.randrange(5) for _ in range(random.randrange(1, 12))]
        for frames in (1, 2, 3):
            assert count_faults_of_min(string, frames) == brute_force(tuple(string), frames)


@pytest.mark.parametrize("name", reference_strings.NAMES)
def test_nobody_is_better_than_min_and_more_memory_never_hurts_it(name: str) -> None:
    string = reference_strings.make(name, Random(name), 250, 12)
    best = [count_faults_of_min(string, frames) for frames in (4, 8, 12, 20, 64)]
    assert best == sorted(best, reverse=True) and best[-1] == len(set(string))
    for kind in POLICIES:
        assert count_faults(kind, string, 12) >= best[2]
        assert count_faults(kind, string, 64) == best[-1]


# -- Clock -------------------------------------------------------------------------------------------------------------------


def test_clock_gives_a_second_chance() -> None:
    """Tanenbaum 3.4.5: A is the oldest, and was used: it loses its bit and stays, B leaves."""
    memory = with_pages("clock", 8)
    memory.use(0)
    assert memory.take() == 1
    memory.use(8)
    assert take_all(memory) == [2, 3, 4, 5, 6, 7, 0, 8]  # 0 and 8 stand behind the hand, 8 came last; its bit costs a turn


def test_clock_with_all_used_goes_round_once() -> None:
    memory = Memory("clock")
    for page in range(5):
        memory.use(page)
    assert memory.choose() == 0 and not any(usage.accessed for usage in memory.usage.values())
    assert memory.choose() == 0
    memory.use(0)
    assert memory.take() == 1


def test_clock_puts_newcomers_behind_the_hand() -> None:
    memory = with_pages("clock", 4)
    assert memory.take() == 0 and memory.take() == 1
    memory.use(9)
    assert memory.policy.pages == [2, 3, 9]


def test_clock_hand_moves_when_its_page_goes() -> None:
    memory = with_pages("clock", 4)
    memory.use(0)
    assert memory.choose() == 1
    memory.lose(1)
    assert memory.choose() == 2
    memory.lose(3)
    assert memory.policy.pages == [2, 0]


# -- Aging -------------------------------------------------------------------------------------------------------------------


def test_aging_as_in_the_textbook() -> None:
    """Tanenbaum 3.4.7, figure 3-18: six pages, five ticks; the counters afterwards."""
    ticks = ((1, 0, 1, 0, 1, 1), (1, 1, 0, 0, 1, 0), (1, 1, 0, 1, 0, 1), (1, 0, 0, 0, 1, 0), (0, 1, 1, 0, 0, 0))
    memory = with_pages("aging", 6)
    memory.policy.counters = dict.fromkeys(range(6), 0)  # type: ignore[attr-defined]
    for used in ticks:
        for page in range(6):
            if used[page]:
                memory.use(page)
        memory.tick()
    assert list(memory.policy.counters.values()) == [0b01111000, 0b10110000, 0b10001000, 0b00100000, 0b01011000, 0b00101000]  # type: ignore[attr-defined]
    assert take_all(memory) == [3, 5, 4, 0, 2, 1]


def test_aging_ties_go_to_who_came_first() -> None:
    memory = Memory("aging")
    for page in (5, 1, 3):
        memory.use(page)
    assert memory.choose() == 5
    memory.tick()
    memory.use(5)
    assert memory.choose() == 5, "uses since the last tick do not count"
    memory.tick()
    assert take_all(memory) == [1, 3, 5]


# -- TwoLists ----------------------------------------------------------------------------------------------------------------


def test_two_uses_make_a_page_active() -> None:
    memory = Memory("two-lists")
    for page in range(6):
        memory.use(page)
    assert memory.choose() == 0 and memory.policy.pages == [0, 1, 2, 3, 4, 5]  # marked
    for page in (0, 2):
        memory.use(page)
    assert memory.take() == 1
    assert memory.policy.active == [0]  # type: ignore[attr-defined]
    assert memory.take() == 3 and memory.policy.active == [0, 2]  # type: ignore[attr-defined]


def test_a_third_is_inactive() -> None:
    memory = with_pages("two-lists", 9)
    memory.policy.active, memory.policy.pages = list(range(8)), [8]  # type: ignore[attr-defined]
    memory.use(0)
    memory.use(2)
    assert memory.choose() == 8
    assert memory.policy.active == [4, 5, 6, 7, 0, 2] and memory.policy.pages == [8, 1, 3]  # type: ignore[attr-defined]


# -- WorkingSet --------------------------------------------------------------------------------------------------------------


def clean_pages(count: int) -> Memory:
    memory = with_pages("working-set", count)
    for usage in memory.usage.values():
        usage.dirty = False
    return memory


def test_the_window_is_exact() -> None:
    memory = clean_pages(4)
    memory.add_time(WINDOW)
    memory.use(1, write=False)
    assert memory.choose() == 0 and memory.policy.times[1] == WINDOW  # type: ignore[attr-defined]
    memory.use(0, write=False)
    memory.add_time(1)
    assert memory.choose() == 2


def test_old_dirty_pages_are_cleaned_and_leave_later() -> None:
    memory = with_pages("working-set", 12)
    memory.add_time(WINDOW + 1)
    assert memory.choose() == 0 and memory.cleaned == list(range(CLEANINGS))
    memory = with_pages("working-set", 3)
    memory.can_clean = False
    memory.add_time(WINDOW + 1)
    assert memory.choose() == 0, "all are dirty, and of one age"


def test_without_old_pages_the_oldest_clean_one_leaves() -> None:
    memory = clean_pages(4)
    memory.add_time(5)
    for page in (0, 2):
        memory.use(page, write=False)
    memory.use(1, write=True)
    assert memory.choose() == 3
    memory.use(3, write=True)
    memory.add_time(2)
    assert memory.choose() == 0 and memory.policy.pages[0] == 0


def test_an_age_is_never_negative() -> None:
    memory = clean_pages(2)
    memory.add_time(100, owner=1)
    memory.use(0, write=False, owner=1)
    memory.use(1, write=False)
    memory.choose()
    memory.leave(1)
    assert memory.policy.age(0) == 0  # type: ignore[attr-defined]


# -- every policy ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", POLICIES)
def test_victims_are_pages_in_memory_and_memory_is_never_too_full(kind: str) -> None:
    random = Random(kind)
    memory = Memory(kind, 7)
    for _ in range(600):
        before = set(memory.usage)
        page = random.randrange(14)
        victims = memory.use(page, write=random.random() < 0.4)
        assert set(victims) <= before and len(victims) == len(before | {page}) - len(memory.usage)
        assert memory.policy.count == len(memory.usage) <= 7
        memory.add_time(random.randrange(8))
        if random.random() < 0.2:
            memory.tick()
        if random.random() < 0.1:
            memory.lose(random.choice(sorted(memory.usage)))


@pytest.mark.parametrize("kind", POLICIES)
def test_names_of_pages_mean_nothing(kind: str) -> None:
    string = reference_strings.make("mixed", Random(3), 200, 8)
    names = Random(4).sample(range(1000), reference_strings.PAGES)
    faults, victims = run_string(kind, string, 8)
    assert run_string(kind, [names[page] for page in string], 8) == (faults, [(at, names[page]) for at, page in victims])


# -- the strings and the score -----------------------------------------------------------------------------------------------


def test_a_seed_makes_its_strings() -> None:
    for seed in range(30):
        strings = make_strings(seed)
        assert sorted(strings) == sorted(reference_strings.NAMES) and strings == make_strings(seed) != make_strings(seed + 1)
        for string in strings.values():
            assert len(string) == LENGTH and FRAMES < len(set(string)) <= reference_strings.PAGES
            assert all(0 <= page < reference_strings.PAGES for page in string)


def test_the_strings_differ_in_what_they_ask_for() -> None:
    strings = make_strings(11)
    assert count_faults("fifo", strings["loop"], FRAMES) == LENGTH, "a loop longer than memory"
    assert count_faults("two-lists", strings["scan"], FRAMES) < count_faults("clock", strings["scan"], FRAMES)
    for kind in POLICIES:
        assert count_faults(kind, strings["locality"], FRAMES) < LENGTH / 3


def test_another_end_is_another_end() -> None:
    string = make_strings(2)["mixed"]
    other, cut = with_another_end(string, Random(1))
    assert len(other) == len(string) and other[:cut] == string[:cut] and other[cut:] != string[cut:] and cut < LENGTH * 3 / 4


def test_the_formula() -> None:
    assert mean([2, 8]) == pytest.approx(4)
    assert gap_closed(1.5, 1.5) == 0 and gap_closed(1, 1.5) == 1 and gap_closed(1.6, 1.5) < 0
    assert [share(gap) for gap in (-0.1, 0, FULL / 2, FULL, 0.9)] == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("seed", range(6))
def test_no_policy_of_the_contract_earns_all_points(seed: int) -> None:
    """Who hands in a copy of one of the five as his own gets a part; MIN would get all."""
    strings = make_strings(seed)
    best = {name: count_faults_of_min(string, FRAMES) for name, string in strings.items()}
    ratios = {kind: mean([count_faults(kind, string, FRAMES) / best[name] for name, string in strings.items()]) for kind in POLICIES}
    for kind in ("clock", "aging", "two-lists", "working-set"):
        assert share(gap_closed(ratios[kind], ratios["fifo"])) < 1
    assert 0 < share(gap_closed(ratios["clock"], ratios["fifo"])) < 0.5
    assert min(CURVE) < FRAMES < max(CURVE)
