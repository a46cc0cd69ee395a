"""What the node knows and says of itself."""
