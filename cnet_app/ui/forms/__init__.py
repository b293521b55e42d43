"""Groups of fields: each builds its components and reads their values by name."""
