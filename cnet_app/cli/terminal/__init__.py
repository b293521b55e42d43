"""Output of commands, and their questions before a download."""
