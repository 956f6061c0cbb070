"""What one replica of the scoring service does: routes, schema, tokens, metrics, the page."""
