/// @file
/// What `swapwork` can do. Each takes the numbers of its command line and returns how many words were not what they must be, or a count of
/// whatever else went wrong; main() prints that.
#pragma once

#include <cstdint>

#include "pages.h"

struct Work {
    Pages pages;
    uint32_t key;
    uint32_t more; ///< Rounds, children, levels: as each says.
};

// One process (alone.cpp).

/// Writes all pages; checkpoint "filled". `more` rounds of looking at each and writing every third anew; "worked". Gives half of them back;
/// "halved". Looks at the others.
uint32_t sweep(const Work& work);
/// Goes `more` levels down its stack, a page each; checkpoint "bottom", and up again; "top". Prints "levels LOWEST DISTANCE".
uint32_t descend(const Work& work);
/// Writes all pages; checkpoint "full". Gives the first half back, writes all of another memory of that size; "again".
uint32_t overflow(const Work& work);

// Several (together.cpp).

/// `more` children, each with pages of its own at the same addresses, write them; checkpoint "filled"; look at them in reverse and write
/// every second anew; "worked". All look at them, and at some once more, so that they end with pages that were only read ahead.
uint32_t crowd(const Work& work);
/// `more` children sort a part each of records in shared memory; checkpoint "sorted". Then this process merges them into private memory
/// behind it; "merged".
uint32_t sort(const Work& work);
/// Two children are forked after all pages were written; checkpoint "forked". All look at everything; "read". This process and the first
/// child write a third each; "apart". The second child ends; all are looked at; "left".
uint32_t family(const Work& work);

// Ends (ends.cpp).

/// One child after the other writes all pages, and is no more: by exec(), exit() and a signal. Checkpoints "full-N" in the child, "gone-N" after.
/// Before each, this process writes four pages of its own anew, behind the others, and looks at them when the child is gone.
uint32_t ends(const Work& work);
/// The disk fails under a page of a system call, and then under one of a child's: checkpoints "refused" and "buried". In the end this process
/// looks at its first page once more, and so has some that were only read ahead.
uint32_t errors(const Work& work);
