"""A network made better on the drives of its own rig, without a LiDAR."""
