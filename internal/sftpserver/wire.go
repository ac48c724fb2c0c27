//go:build linux

package sftpserver

import (
	"encoding/binary"
	"errors"
	"syscall"
)

// The types of packets (section 3 of the draft).
const (
	typeInit          = 1
	typeVersion       = 2
	typeOpen          = 3
	typeClose         = 4
	typeRead          = 5
	typeWrite         = 6
	typeLstat         = 7
	typeFstat         = 8
	typeSetstat       = 9
	typeFsetstat      = 10
	typeOpendir       = 11
	typeReaddir       = 12
	typeRemove        = 13
	typeMkdir         = 14
	typeRmdir         = 15
	typeRealpath      = 16
	typeStat          = 17
	typeRename        = 18
	typeReadlink      = 19
	typeSymlink       = 20
	typeStatus        = 101
	typeHandle        = 102
	typeData          = 103
	typeName          = 104
	typeAttrs         = 105
	typeExtended      = 200
	typeExtendedReply = 201
)

// version of the protocol.
const version = 3

// maxPacket is the longest packet, without its length, and maxData the most
// data that one carries: OpenSSH's, which its clients count on.
const (
	maxPacket = 256 << 10
	maxData   = maxPacket - 1024
)

// code is a status of section 7.
type code uint32

const (
	codeOK               code = 0
	codeEOF              code = 1
	codeNoSuchFile       code = 2
	codePermissionDenied code = 3
	codeFailure          code = 4
	codeBadMessage       code = 5
	codeUnsupported      code = 8
)

func (c code) Error() string {
	switch c {
	case codeOK:
		return "Success"
	case codeEOF:
		return "End of file"
	case codeNoSuchFile:
		return "No such file"
	case codePermissionDenied:
		return "Permission denied"
	case codeBadMessage:
		return "Bad message"
	case codeUnsupported:
		return "Operation unsupported"
	}
	return "Failure"
}

// status is the code and the words of an error, as OpenSSH maps the system's.
func status(err error) (code, string) {
	if err == nil {
		return codeOK, codeOK.Error()
	}
	var c code
	if errors.As(err, &c) {
		return c, c.Error()
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return codeFailure, err.Error()
	}
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.EBADF, syscall.ELOOP:
		c = codeNoSuchFile
	case syscall.EPERM, syscall.EACCES, syscall.EFAULT:
		c = codePermissionDenied
	case syscall.ENAMETOOLONG, syscall.EINVAL:
		c = codeBadMessage
	case syscall.ENOSYS:
		c = codeUnsupported
	default:
		c = codeFailure
	}
	return c, errno.Error()
}

// request takes the fields of a packet one after another. When one is not
// there, that and all later ones are zero, and bad is set.
type request struct {
	rest []byte
	bad  bool
}

func (r *request) take(n int) []byte {
	if n > len(r.rest) {
		r.rest, r.bad = nil, true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *request) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *request) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *request) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// bytes are valid until the next request.
func (r *request) bytes() []byte {
	n := r.uint32()
	if uint64(n) > uint64(len(r.rest)) {
		r.rest, r.bad = nil, true
		return nil
	}
	return r.take(int(n))
}

func (r *request) string() string { return string(r.bytes()) }

// answer is a packet that is being made; the first four bytes are its length.
type answer []byte

func (a *answer) begin(packetType byte, id uint32) {
	*a = append((*a)[:0], 0, 0, 0, 0, packetType)
	a.uint32(id)
}

func (a *answer) uint32(n uint32) { *a = binary.BigEndian.AppendUint32(*a, n) }
func (a *answer) uint64(n uint64) { *a = binary.BigEndian.AppendUint64(*a, n) }

func (a *answer) string(s string) {
	a.uint32(uint32(len(s)))
	*a = append(*a, s...)
}
