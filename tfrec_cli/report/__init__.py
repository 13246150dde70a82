"""Results as text, as JSON documents and as pages."""
