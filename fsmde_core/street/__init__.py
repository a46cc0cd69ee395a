"""A procedural street, its ray tracer, sensors and dataset writers: exact depth from one seed."""
