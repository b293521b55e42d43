"""Training from scratch: the embedded model, its ControlNets (the paper's recipe) and its annotator network."""
