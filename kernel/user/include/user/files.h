/// @file
/// Files of the volume, and the console: abi/files.h has the flags. Every function returns a negative errno when it fails.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi/files.h"

/// Opens a file. @param flags  abi::OpenFlags @return its number
int open(const char* path, uint32_t flags);
/// Closes a file number. @return 0
int close(int file);
/// Reads up to `bytes` bytes. From the console: at least one, what has been typed, unedited. @return how many; 0 at the end
int read(int file, void* buffer, size_t bytes);
/// Writes. @return how many bytes, perhaps fewer when the volume is full
int write(int file, const void* buffer, size_t bytes);
/// Moves the position of the next read or write. @param whence  abi::Whence @return the new position
int seek(int file, int offset, uint32_t whence);
/// Removes a file that nobody has open. @return 0
int remove(const char* path);
/// Makes a folder in the root. @return 0
int make_folder(const char* path);
/// Entry number `index` of a folder; "/" is the root. @return 0; -ENOENT past the last
int list_folder(const char* path, uint32_t index, abi::FolderEntry* entry);
/// @return the bytes of an open file
int file_size(int file);

/// Writes all of it, in as many calls as it takes. @return 0, or the error that came in between
int write_all(int file, const void* buffer, size_t bytes);
