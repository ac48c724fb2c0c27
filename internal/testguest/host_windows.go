package testguest

const defaultHost = "npipe:////./pipe/docker_engine"
