"""The routes of the admin API, a file a topic; each has a tuple `ROUTES`."""
