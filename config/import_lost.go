package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/berth-ssh/berth/internal/settings"
)

// remedies say what to do about what has no counterpart, by the beginning of its
// key; the longest counts.
var remedies = map[string]string{
	"auth":          "users log in with the keys that auth.publicKey lists",
	"audit":         "Berth keeps no audit log",
	"configserver":  "all users have the configuration of this file",
	"cleanupserver": "containers are removed by Berth itself",
	"geoip":         "Berth does not look up where clients come from",
	"health":        "a connection to the SSH port shows that Berth is there",
	"security":      "Berth does not restrict this: users may do it",

	"docker.execution.auth":                 "`docker login`, as the user that runs the server, gives access to registries",
	"docker.execution.container":            noSuchKey,
	"docker.execution.container.macaddress": "network.endpointsconfig.NAME.macaddress is its place today",
	"docker.execution.host":                 noSuchKey,
	"docker.execution.network":              noSuchKey,
	"dockerrun.config.container":            noSuchKey,
	"dockerrun.config.container.macaddress": "network.endpointsconfig.NAME.macaddress is its place today",
	"dockerrun.config.host":                 noSuchKey,
	"dockerrun.config.network":              noSuchKey,
}

const noSuchKey = "the Engine API has no such key, or no more"

// leaves notes each setting at and below a path that has no counterpart. What
// says nothing, since it is empty or turned off, is not noted.
func (i *importer) leaves(p settings.Path, v any) {
	if empty(v) || i.off(p, v) {
		return
	}
	if section, ok := v.(map[string]any); ok {
		for _, key := range slices.Sorted(maps.Keys(section)) {
			i.leaves(append(slices.Clone(p), key), section[key])
		}
		return
	}
	words := "has no counterpart"
	if r := remedy(p); r != "" {
		words += ": " + r
	}
	i.lost.Add(p.String(), "%s", words)
}

func remedy(p settings.Path) string {
	key := strings.ToLower(p.String())
	best := ""
	for beginning := range remedies {
		if (key == beginning || strings.HasPrefix(key, beginning+".")) && len(beginning) > len(best) {
			best = beginning
		}
	}
	return remedies[best]
}

// off says whether a setting is as good as not there: it belongs to what is not
// enabled or not in use, or allows what Berth allows.
func (i *importer) off(p settings.Path, v any) bool {
	switch top := strings.ToLower(p[0]); top {
	case "audit", "health", "metrics":
		enabled, _ := at(i.tree, settings.Path{top, "enable"}).(bool)
		return !enabled
	case "configserver", "cleanupserver":
		return empty(at(i.tree, settings.Path{top, "url"}))
	case "geoip":
		return at(i.tree, settings.Path{top, "provider"}) == "dummy"
	case "log":
		// What belongs to a destination counts only with it.
		return len(p) > 1 && !strings.EqualFold(p[1], i.theirs.Log.Destination)
	case "kubernetes", "kuberun", "sshproxy":
		return true
	case "docker", "dockerrun":
		// The section of the backend that is not used is noted as a whole.
		for _, err := range settings.List(i.lost.Err()) {
			if len(err.Path) == 1 && err.Path[0] == top {
				return true
			}
		}
	case "security":
		return v == theirEnable && strings.HasSuffix(strings.ToLower(p[len(p)-1]), "mode")
	}
	return false
}

// empty says whether a value says nothing.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case json.Number:
		return strings.Trim(v.String(), "0.") == ""
	case []any:
		return !slices.ContainsFunc(v, func(entry any) bool { return !empty(entry) })
	case map[string]any:
		for _, inner := range v {
			if !empty(inner) {
				return false
			}
		}
		return true
	}
	return false
}
