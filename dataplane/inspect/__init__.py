"""Looking at the running data plane and at what it would do; reads the others, changes nothing."""
