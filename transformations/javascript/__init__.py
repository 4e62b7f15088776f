"""Scripts in JavaScript, run by QuickJS inside the same locked worker; imported in workers only."""
