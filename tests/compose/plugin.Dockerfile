# The Compose plugin, to be tried where the machine has docker-compose 1.29.
FROM debian:13-slim
RUN apt-get update && apt-get install -y --no-install-recommends docker-cli docker-compose && rm -rf /var/lib/apt/lists/*
