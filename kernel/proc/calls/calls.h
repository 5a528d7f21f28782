/// @file
/// Every system call's handler, named like its number in abi/system_calls.h. They run for the current process, with its address
/// space active, and reach its memory through mm/space/user_memory.h only.
#pragma once

#include "proc/system_calls.h"

namespace proc::calls {

using system_calls::Arguments;

// process_calls.cpp
Result<uint32_t> exit(const Arguments& arguments);
Result<uint32_t> get_pid(const Arguments& arguments);
Result<uint32_t> get_parent(const Arguments& arguments);
Result<uint32_t> fork(const Arguments& arguments);
Result<uint32_t> execute(const Arguments& arguments);
Result<uint32_t> wait(const Arguments& arguments);
Result<uint32_t> kill(const Arguments& arguments);
Result<uint32_t> signal(const Arguments& arguments);
Result<uint32_t> signal_return(const Arguments& arguments);
Result<uint32_t> yield(const Arguments& arguments);
Result<uint32_t> sleep(const Arguments& arguments);

// file_calls.cpp, folder_calls.cpp
Result<uint32_t> read(const Arguments& arguments);
Result<uint32_t> write(const Arguments& arguments);
Result<uint32_t> open(const Arguments& arguments);
Result<uint32_t> close(const Arguments& arguments);
Result<uint32_t> seek(const Arguments& arguments);
Result<uint32_t> remove(const Arguments& arguments);
Result<uint32_t> make_folder(const Arguments& arguments);
Result<uint32_t> list_folder(const Arguments& arguments);
Result<uint32_t> file_size(const Arguments& arguments);

// memory_calls.cpp
Result<uint32_t> move_break(const Arguments& arguments);
Result<uint32_t> map_memory(const Arguments& arguments);
Result<uint32_t> unmap_memory(const Arguments& arguments);
Result<uint32_t> protect(const Arguments& arguments);
Result<uint32_t> advise(const Arguments& arguments);
Result<uint32_t> resident(const Arguments& arguments);

// shared_calls.cpp
Result<uint32_t> create_shared(const Arguments& arguments);
Result<uint32_t> attach_shared(const Arguments& arguments);
Result<uint32_t> detach_shared(const Arguments& arguments);
Result<uint32_t> close_shared(const Arguments& arguments);

// limit_calls.cpp
Result<uint32_t> get_limit(const Arguments& arguments);
Result<uint32_t> set_limit(const Arguments& arguments);

// info_calls.cpp
Result<uint32_t> memory_info(const Arguments& arguments);
Result<uint32_t> maps(const Arguments& arguments);
Result<uint32_t> processes(const Arguments& arguments);
Result<uint32_t> uptime(const Arguments& arguments);
Result<uint32_t> counters(const Arguments& arguments);
Result<uint32_t> shut_down(const Arguments& arguments);

} // namespace proc::calls
