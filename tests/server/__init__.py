"""The LMTP server on real sockets."""
