/// @file
/// Kernel data that holds addresses of objects and does not keep them alive: the search for unreachable objects passes it over.
#pragma once

#if defined(__i386__)
/// Puts a variable into the section .unscanned (link.ld), which lies outside the roots of leaks::find_unreachable(). It starts as zero.
#define UNSCANNED [[gnu::section(".unscanned,\"aw\",@nobits#")]] constinit
#else
#define UNSCANNED constinit // tests on the host, which do not search
#endif
