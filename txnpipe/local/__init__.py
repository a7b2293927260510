"""The local cloud: the AWS APIs on loopback, with every part really running."""
