"""Films of trials: the pictures of all cameras on the common clock, to be looked at beside the skeleton."""
