"""The tabs of the page: one for a condition, Compose, All maps and History."""
