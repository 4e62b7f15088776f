"""Sends the common events with segment-analytics-python: segment_python.py DATA_PLANE_URL WRITE_KEY.

Exits with 1 when the SDK reports that it could not deliver something.
"""

import sys

import segment.analytics as segment

failures = []
segment.host, segment.write_key = sys.argv[1:3]
segment.on_error = lambda error, items: failures.append((error, len(items)))
segment.max_retries = 2

segment.identify("guest-7", {"email": "kenji@hotel.example", "tier": "gold"}, anonymous_id="device-7")
booking = {"room": 512, "nights": 3, "price": 417.6, "extras": ["vélo", "朝食"]}
segment.track("guest-7", "Room Booked", booking)
segment.page("guest-7", "Rooms", "Sea View", {"path": "/rooms/sea-view"})
segment.screen("guest-7", "Keys", "Door Key", {"floor": 5})
segment.group("guest-7", "family-3", {"size": 4})
segment.alias("device-7", "guest-7")
segment.track(anonymous_id="device-8", event="Lobby Entered")
segment.flush()
segment.shutdown()
for error, count in failures:
    sys.stderr.write(f"{count} events not delivered: {error!r}\n")
sys.exit(bool(failures))
