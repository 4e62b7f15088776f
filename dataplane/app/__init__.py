"""The composition root: the app process, its roles, and the channel between them."""
