"""Full surround monocular depth: rig, student network, bin head, training and inference, no ROS."""
