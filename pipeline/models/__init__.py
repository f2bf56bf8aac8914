"""What a definition may say: frozen models, and the loader that knows file, line and column of everything."""
