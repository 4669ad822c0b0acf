"""headrace: events in, point-in-time features, predictions out; labels back, models learnt, drift watched."""
