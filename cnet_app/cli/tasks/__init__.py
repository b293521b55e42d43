"""Running of tasks for commands: the engine, sweeps, pictures of the base."""
