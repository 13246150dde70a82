"""Images of records that become files again: their names, and what happens when names collide."""
