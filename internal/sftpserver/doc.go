// Package sftpserver serves files over SFTP, version 3 of the protocol
// (draft-ietf-secsh-filexfer-02), with the rights of the process.
//
// It does what OpenSSH's sftp-server does, since that is what clients are made
// for: the same answers, in the order of the requests, and the same extensions
// (OpenSSH's PROTOCOL file, section 4). Its tests hold it against that program,
// request by request. Where a request fails, the answer has OpenSSH's code and
// the system's own words.
//
// One request is served at a time: a client that pipelines a write and then a
// change of the file's times gets both in that order. What is held in memory is
// one request and one answer.
package sftpserver
