/// @file
/// All of the library, for programs that need much of it.
#pragma once

#include "user/assertion.h"
#include "user/files.h"
#include "user/heap.h"
#include "user/line_editor.h"
#include "user/memory.h"
#include "user/meter.h"
#include "user/print.h"
#include "user/processes.h"
#include "user/signals.h"
#include "user/system_call.h"
#include "user/text.h"
