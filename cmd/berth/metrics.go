package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/sshserver"
)

// metrics are what Prometheus is told.
type metrics struct {
	registry           *prometheus.Registry
	requests, failures prometheus.Counter // of engine calls
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounter(prometheus.CounterOpts{Name: "berth_engine_requests_total", Help: "Calls to the container engine."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "berth_engine_failures_total", Help: "Calls to the container engine that failed."}),
	}
	m.registry.MustRegister(m.requests, m.failures,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe adds what a server and its backend know of themselves.
func (m *metrics) observe(srv *sshserver.Server, b *docker.Backend) {
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
	}
	gauge("berth_connections", "SSH connections, those in the handshake included.", func() float64 { return float64(srv.Connections()) })
	gauge("berth_unauthenticated_connections", "SSH connections that have not logged in.", func() float64 { return float64(srv.Stats().Unauthenticated) })
	gauge("berth_penalized_sources", "Addresses and networks that are refused for what they did.", func() float64 { return float64(srv.Stats().Penalized) })
	m.labelled("berth_refusals_total", "What limits have refused, or delayed: docs/limits.md.", "limit", func() map[string]uint64 { return srv.Stats().Refusals })
	m.labelled("berth_penalties_total", "Penalties for connections that ended without a login.", "kind", func() map[string]uint64 { return srv.Stats().Penalties })
	gauge("berth_containers", "Containers that connections have.", func() float64 { return float64(len(b.Containers())) })
	gauge("berth_pool_ready", "Containers that wait for a login.", func() float64 { return float64(b.PoolStats().Ready) })
	gauge("berth_pool_target", "Containers that should wait for a login.", func() float64 { return float64(b.PoolStats().Target) })
	gauge("berth_pool_oldest_seconds", "Age of the container that has waited longest.", func() float64 { return b.PoolStats().Oldest.Seconds() })
	counter("berth_pool_hits_total", "Logins that found a container waiting.", func() float64 { return float64(b.PoolStats().Hits) })
	counter("berth_pool_misses_total", "Logins that found none, though there is a pool.", func() float64 { return float64(b.PoolStats().Misses) })
	counter("berth_pool_lost_total", "Containers that ended while they waited.", func() float64 { return float64(b.PoolStats().Lost) })
}

// labelled adds counters that differ in a label. Each key that there is now has
// one.
func (m *metrics) labelled(name, help, label string, values func() map[string]uint64) {
	for key := range values() {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{label: key},
		}, func() float64 { return float64(values()[key]) }))
	}
}
