"""Faults for real: kills, full disks, damaged and lost files, destinations that misbehave. `make faults`."""
