"""Sends the common events with rudder-sdk-python: rudder_python.py DATA_PLANE_URL WRITE_KEY.

Exits with 1 when the SDK reports that it could not deliver something.
"""

import sys

import rudderstack.analytics as rudder

failures = []
rudder.dataPlaneUrl, rudder.write_key = sys.argv[1:3]
rudder.on_error = lambda error, items: failures.append((error, len(items)))
rudder.max_retries = 2

rudder.identify("guest-7", {"email": "kenji@hotel.example", "tier": "gold"}, anonymous_id="device-7")
booking = {"room": 512, "nights": 3, "price": 417.6, "extras": ["vélo", "朝食"]}
rudder.track("guest-7", "Room Booked", booking)
rudder.page("guest-7", "Rooms", "Sea View", {"path": "/rooms/sea-view"})
rudder.screen("guest-7", "Keys", "Door Key", {"floor": 5})
rudder.group("guest-7", "family-3", {"size": 4})
rudder.alias("device-7", "guest-7")
rudder.track(anonymous_id="device-8", event="Lobby Entered")
rudder.flush()
rudder.shutdown()
for error, count in failures:
    sys.stderr.write(f"{count} events not delivered: {error!r}\n")
sys.exit(bool(failures))
