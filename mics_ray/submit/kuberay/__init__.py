"""Kubernetes with the KubeRay operator."""
