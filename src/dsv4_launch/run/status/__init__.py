"""What has become of a deployment, and what it does now."""
