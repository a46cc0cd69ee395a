"""rosbag2 files without a ROS installation: writer, player and recorder."""
