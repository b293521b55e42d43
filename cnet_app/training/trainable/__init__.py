"""What a family trains: one file a kind of base."""
