"""Jobs: who waits, what runs, what was made. The one place where models run."""
