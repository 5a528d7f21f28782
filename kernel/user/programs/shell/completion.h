/// @file
/// What Tab adds to the line.
#pragma once

#include "user/line_editor.h"

/// Completes the word before the cursor: the first word to a program or one of the shell's own commands, another one to a file. What all
/// candidates have in common is inserted; when that is nothing, they are listed.
void complete(LineEditor& editor);
