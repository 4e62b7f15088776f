"""What `make` runs around the code: set-up, locks, licences. None of it is in the wheel."""
