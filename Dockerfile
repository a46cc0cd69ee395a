# docker build -t fsmde_ros .
# docker run --rm --net=host --shm-size=1g fsmde_ros rig:=nuscenes
FROM ros:jazzy
RUN apt-get update && apt-get install -y --no-install-recommends \
        python3-pip python3-venv ros-jazzy-cv-bridge ros-jazzy-message-filters ros-jazzy-tf2-ros \
    && rm -rf /var/lib/apt/lists/*
# ROS's messages are compiled against Ubuntu's numpy 1.26: keep it
RUN pip install --break-system-packages "numpy<2" "opencv-python-headless<4.12" onnxruntime-gpu==1.23.2 \
        simplejpeg==1.9.0 rosbags==0.11.9 mcap-protobuf-support tabulate tqdm
COPY . /ws/src/fsmde_ros
WORKDIR /ws
RUN . /opt/ros/jazzy/setup.sh && colcon build --packages-select fsmde_ros
# /dev/shm must hold 64 MB for each process that publishes images: hence --shm-size above
ENTRYPOINT ["/bin/bash", "-c", ". /ws/install/setup.bash && exec ros2 launch fsmde_ros surround_depth.launch.py \"$@\"", "--"]
