/// @file
/// Memory from the kernel: abi/memory.h has the flags. Functions that return addresses return errors as addresses that is_error()
/// (system_call.h) knows; the others return a negative errno.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi/memory.h"
#include "abi/process.h"

inline constexpr size_t kPageBytes = 4096;
/// For mmap() without a file.
inline constexpr int kNoFile = -1;

/// Moves the break: one past the heap's last byte. Null only asks. @return the break
void* brk(void* address);
/// Moves the break by so many bytes. @return where it was
void* sbrk(int bytes);

/// Maps memory, or a file. @param address  a wish, an order with MAP_FIXED, or null @return the begin
void* mmap(void* address, size_t bytes, uint32_t protection, uint32_t flags, int file = kNoFile, uint32_t offset = 0);
/// Unmaps. @return 0
int munmap(void* address, size_t bytes);
/// Changes the rights. @return 0
int mprotect(void* address, size_t bytes, uint32_t protection);
/// @param advice  abi::Advice @return 0
int madvise(void* address, size_t bytes, uint32_t advice);
/// Which pages are present: one byte each, in bit 0. @return 0
int mincore(void* address, size_t bytes, unsigned char* vector);

/// Memory that processes may share. @return its number
int create_shared(size_t bytes);
/// Maps shared memory. @param address  a wish, or null @return the begin
void* attach_shared(int number, void* address, uint32_t protection);
/// Unmaps what attach_shared() returned. @return 0
int detach_shared(void* address);
/// Gives the number back; the memory goes with its last owner and its last attachment. @return 0
int close_shared(int number);

/// A limit of this process. @param resource  abi::Resource @return 0
int getrlimit(uint32_t resource, uint32_t* value);
/// Lowers a limit. @return 0
int setrlimit(uint32_t resource, uint32_t value);

/// Figures of the whole machine. @return 0
int memory_info(abi::MemoryInfo* info);
/// The areas of a process, as text, cut to fit. @return its length
int maps(int pid, char* buffer, size_t bytes);
