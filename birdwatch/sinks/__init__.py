"""Where results go: tables in files, messages on a socket."""
