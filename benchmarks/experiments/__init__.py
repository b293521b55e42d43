"""The paper's claims in miniature, by the trainer that users have."""
