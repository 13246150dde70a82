"""Where images come from: folders and image lists."""
