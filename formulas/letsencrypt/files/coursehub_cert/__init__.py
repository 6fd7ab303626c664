"""Keep one certificate for the names of this server. `/usr/local/sbin/coursehub-cert` is its command."""
