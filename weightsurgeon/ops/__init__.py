"""What can be done to values, a few rows a file; `table` has all of them by name."""
