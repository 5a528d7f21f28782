"""Page tables as the host sees them: decoded out of physical memory, compared, drawn. Imports no emulator."""
