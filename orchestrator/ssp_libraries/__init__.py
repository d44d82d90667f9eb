"""SSP libraries: load them by name or from a file, fetch them once."""
