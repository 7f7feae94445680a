"""Finding landmarks in video with a network, in a process of its own."""
