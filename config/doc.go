// Package config is the daemon's configuration file.
//
//	Config, SSH, Auth, Log   the structures; their comments are the reference   config.go, ssh.go
//	Load, Parse              text ──> tree with positions ──> Config            load.go, source.go
//	Problem                  what is wrong, with file, line and column          problem.go
//	Check                    what can be told before use, files included        check.go
//	Import                   files of ContainerSSH                              import.go, import_lost.go
//	Schema, Reference        JSON schema and docs/configuration.md              schema.go, reference.go
//
// The comments of the fields, here and in package docker, are what users read in
// docs/configuration.md and in the JSON schema: `make docs` takes them from the
// source to comments.json and writes the reference. They are written for users:
// keys, units, defaults, examples.
package config
