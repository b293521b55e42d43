"""Files of the hub: asked for, continued, checked, and kept in its cache."""
