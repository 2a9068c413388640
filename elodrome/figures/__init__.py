"""The textbook's figures from our own runs: one file each, its name the figure's, found by file name."""
