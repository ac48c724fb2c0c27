package engine

// With a terminal, engines look in what is typed for keys that detach the
// client, ctrl-p ctrl-q by default, and hold ctrl-p back until the next key.
// There is no way to turn that off but on Podman's attach, so the keys are set
// to what nobody types. The first key matters most: typed alone, it is held
// back until the next one.

// execDetachKeys go into a JSON document, so only ASCII can be asked for.
// ctrl-^ is what shells, editors and multiplexers use least of all.
const execDetachKeys = "ctrl-^,ctrl-@,ctrl-_,ctrl-\\,ctrl-@,ctrl-_,ctrl-^,ctrl-@,ctrl-\\,ctrl-_,ctrl-@,ctrl-^"

// attachDetachKeys go into a query, which carries any byte: Docker gets bytes
// that are never part of UTF-8, and Podman takes the empty text for "none".
func attachDetachKeys(i Info) string {
	if i.Podman {
		return ""
	}
	return "\xff,\xfe,\xff,\xfe,\xff,\xfe,\xff,\xfe"
}
