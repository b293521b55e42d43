"""The library: finished pictures with their files, search, trash and limits, and the database that it shares with the history."""
