"""Programs to read and to begin with: each is short, runs as it stands, and is run by the tests."""
