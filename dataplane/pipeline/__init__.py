"""From stored requests to routed events: sequence, enrich, transform, route."""
