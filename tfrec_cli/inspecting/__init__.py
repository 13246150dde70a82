"""What is in record files, ours or anyone's: counted, described, drawn."""
