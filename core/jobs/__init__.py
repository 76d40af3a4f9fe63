"""How a command runs: its exit status and progress, its record, its child process, its cost, its claim of a folder."""
