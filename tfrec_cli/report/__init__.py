"""Results of the commands: text for a person, JSON documents, pictures and pages."""
