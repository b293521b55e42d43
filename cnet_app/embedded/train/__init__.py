"""Training of the embedded model from scratch: autoencoder, base, ControlNets (the paper's recipe) and annotator network."""
