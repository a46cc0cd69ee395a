"""What stands along a street: walls, barriers, signs, works, clutter, bridges."""
