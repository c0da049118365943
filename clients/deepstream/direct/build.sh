#!/bin/sh
# Builds the image yolostream/deepstream-direct, upon that of the service 'deepstream'; which images
# and which commit is said in .env and in Dockerfile.
set -eu
cd "$(dirname "$0")/../../.."
docker compose --profile deepstream build deepstream
docker build --tag yolostream/deepstream-direct clients/deepstream/direct
