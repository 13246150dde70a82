"""What any record files contain: counted, described, drawn."""
