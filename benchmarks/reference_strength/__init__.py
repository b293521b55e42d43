"""Forms of strength for a map that is given as a reference latent, compared on a tiny FLUX.2 that is trained here."""
