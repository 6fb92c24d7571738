"""What a deployment has been."""
