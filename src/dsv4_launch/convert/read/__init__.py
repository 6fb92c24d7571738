"""Launches in texts: shell, docker, compose, Kubernetes, Dockerfile."""
