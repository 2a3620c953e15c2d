"""Per-process log files, and the monitor that ships them to Blob Storage."""
