"""What is to be seen of a rig: one description (scene.py), and what each viewer makes of it."""
