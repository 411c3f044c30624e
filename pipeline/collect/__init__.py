"""Where pictures come from: cameras, streams and clips."""
