# Entries: run · test · bench · lint · build. People, README and CI use the same ones.
