//go:build linux

package sftpserver

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// server is one run of Serve.
type server struct {
	in       *bufio.Reader
	out      *bufio.Writer
	readOnly bool
	handles  map[string]*handle
	next     uint32 // the number of the next handle
	names    names
	answer   answer
}

// handle is a file or a directory that a client has opened.
type handle struct {
	file   *os.File
	path   string
	append bool
	// entries says that it is a directory to be listed, whose own names, "."
	// and "..", have been sent if begun is set.
	entries, begun bool
}

// Serve answers requests until there are no more. Paths that are not absolute
// begin in the working directory of the process. With readOnly nothing that
// would change a file is done. The error is about the streams, or about a client
// that does not speak the protocol.
func Serve(in io.Reader, out io.Writer, readOnly bool) error {
	s := &server{
		in: bufio.NewReaderSize(in, 64<<10), out: bufio.NewWriterSize(out, 64<<10),
		readOnly: readOnly, handles: map[string]*handle{},
	}
	defer func() {
		for _, h := range s.handles {
			_ = h.file.Close()
		}
	}()
	var packet []byte
	for {
		// Answers go together when the next requests are there already.
		if s.in.Buffered() == 0 {
			if err := s.out.Flush(); err != nil {
				return err
			}
		}
		var length [4]byte
		if _, err := io.ReadFull(s.in, length[:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, s.out.Flush())
		}
		n := binary.BigEndian.Uint32(length[:])
		if n == 0 || n > maxPacket {
			return fmt.Errorf("a packet of %d bytes: this is not SFTP, or not version %d", n, version)
		}
		if cap(packet) < int(n) {
			packet = make([]byte, max(int(n), 4096))
		}
		packet = packet[:n]
		if _, err := io.ReadFull(s.in, packet); err != nil {
			return err
		}
		if err := s.serve(&request{rest: packet}); err != nil {
			return err
		}
	}
}

// serve answers one request.
func (s *server) serve(r *request) error {
	packetType, id := r.byte(), r.uint32()
	if packetType == typeInit {
		s.answer.begin(typeVersion, version)
		for _, e := range extensions {
			if !(e.changes && s.readOnly) {
				s.answer.string(e.name)
				s.answer.string(e.version)
			}
		}
	} else if err := s.do(packetType, id, r); err != nil || r.bad {
		if r.bad {
			return fmt.Errorf("a request of type %d ends too early", packetType)
		}
		s.status(id, err)
	}
	binary.BigEndian.PutUint32(s.answer, uint32(len(s.answer)-4))
	_, err := s.out.Write(s.answer)
	return err
}

func (s *server) status(id uint32, err error) {
	c, words := status(err)
	s.answer.begin(typeStatus, id)
	s.answer.uint32(uint32(c))
	s.answer.string(words)
	s.answer.string("") // language
}

// do does what a request asks for, and makes the answer unless there is an
// error.
func (s *server) do(packetType byte, id uint32, r *request) error {
	var err error
	switch packetType {
	case typeOpen:
		return s.open(id, r)
	case typeOpendir:
		return s.openDirectory(id, r)
	case typeRead:
		return s.read(id, r)
	case typeReaddir:
		return s.readDirectory(id, r)
	case typeStat, typeLstat, typeFstat:
		return s.stat(packetType, id, r)
	case typeRealpath, typeReadlink:
		return s.path(packetType, id, r)
	case typeExtended:
		return s.extended(id, r)
	case typeClose:
		err = s.close(r)
	case typeWrite:
		err = s.write(r)
	case typeSetstat:
		err = s.change(r)
	case typeFsetstat:
		err = s.changeOpen(r)
	case typeRemove, typeRmdir, typeMkdir, typeRename, typeSymlink:
		err = s.entry(packetType, r)
	default:
		err = codeUnsupported
	}
	s.status(id, err)
	return nil
}

// writable says whether anything may be changed.
func (s *server) writable(r *request) error {
	if s.readOnly || r.bad { // half a request changes nothing
		return codePermissionDenied
	}
	return nil
}

// handle finds the handle that a request names, of a file or of a directory.
func (s *server) handle(r *request, directory bool) (*handle, error) {
	if h, ok := s.handles[string(r.bytes())]; ok && h.entries == directory {
		return h, nil
	}
	return nil, codeFailure
}

// opened answers with a new handle.
func (s *server) opened(id uint32, h *handle) error {
	name := string(binary.BigEndian.AppendUint32(nil, s.next))
	s.next++
	s.handles[name] = h
	s.answer.begin(typeHandle, id)
	s.answer.string(name)
	return nil
}

// name answers with one name.
func (s *server) name(id uint32, name string) error {
	s.answer.begin(typeName, id)
	s.answer.uint32(1)
	s.answer.string(name)
	s.answer.string(name)
	s.answer.uint32(0) // no attributes
	return nil
}
