"""The admin API: under /api/v1 on the admin port (bearer token) and the admin socket (file permissions)."""
