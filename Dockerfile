# docker build -t fsmde_ros .
# docker run --rm --net=host --shm-size=1g fsmde_ros rig:=nuscenes
# On an NVIDIA GPU, with the driver and nvidia-container-toolkit on the host (CUDA 12 comes as wheels; for CUDA 13
# add --build-arg ONNXRUNTIME=1.31.1):
# docker build -t fsmde_ros:gpu --build-arg CUDA=1 .
# docker run --rm --gpus all --net=host --shm-size=1g fsmde_ros:gpu rig:=nuscenes
FROM ros:jazzy
ARG CUDA=
ARG ONNXRUNTIME=1.23.2
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
        python3-pip python3-venv ros-jazzy-cv-bridge ros-jazzy-message-filters ros-jazzy-tf2-ros \
    && rm -rf /var/lib/apt/lists/*
# ROS's messages are compiled against Ubuntu's numpy 1.26: keep it
RUN pip install --no-cache-dir --break-system-packages "numpy<2" "opencv-python-headless<4.12" \
        "onnxruntime-gpu${CUDA:+[cuda,cudnn]}==$ONNXRUNTIME" simplejpeg==1.9.0 rosbags==0.11.9 \
        mcap==1.6.0 mcap-protobuf-support==0.6.0 tabulate==0.10.0 tqdm==4.70.1
COPY . /ws/src/fsmde_ros
WORKDIR /ws
RUN . /opt/ros/jazzy/setup.sh && colcon build --packages-select fsmde_ros
# /dev/shm must hold 64 MB for each process that publishes images: hence --shm-size above
ENTRYPOINT ["/bin/bash", "-c", ". /ws/install/setup.bash && exec ros2 launch fsmde_ros surround_depth.launch.py \"$@\"", "--"]
