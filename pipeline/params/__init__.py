"""params.yaml as typed, frozen objects."""
