package docker

// Message codes. Each log record about one of these events carries the code in
// its "code" attribute, and each error at the boundary of this package has one
// in backend.Error. The values never change: log filters depend on them.
//
// Names with E are failures, names with M are news.
const (
	// EFailedAgentRead: the stream from the guest agent could not be read. The
	// program's start is given up. See whether agentPath names an agent that
	// runs in this image.
	EFailedAgentRead = "DOCKER_AGENT_READ_FAILED"
	// EFailedOutputCloseWriting: the client could not be told of the end of
	// output. It has most likely gone; nothing to do.
	EFailedOutputCloseWriting = "DOCKER_CLOSE_OUTPUT_FAILED"
	// EFailedInputCloseWriting: the program could not be told of the end of its
	// input and may wait for more. It has most likely ended; nothing to do.
	EFailedInputCloseWriting = "DOCKER_CLOSE_INPUT_FAILED"
	// EConfigError: the configuration is wrong. The error names each key;
	// `berth config check` shows them with their positions.
	EConfigError = "DOCKER_CONFIG_ERROR"
	// MContainerAttach: attaching to the streams of a container, in session
	// mode.
	MContainerAttach = "DOCKER_CONTAINER_ATTACH"
	// EFailedContainerAttach: the streams of a container could not be had. See
	// the engine's log.
	EFailedContainerAttach = "DOCKER_CONTAINER_ATTACH_FAILED"
	// MContainerCreate: making a container.
	MContainerCreate = "DOCKER_CONTAINER_CREATE"
	// EFailedContainerCreate: the engine refused to make the container, or took
	// too long. Its reason is in the error; most often a setting of
	// execution.container or execution.host.
	EFailedContainerCreate = "DOCKER_CONTAINER_CREATE_FAILED"
	// MContainerStart: starting a container that has been made.
	MContainerStart = "DOCKER_CONTAINER_START"
	// EFailedContainerStart: the container was made but did not start, and has
	// been removed. Most often its first program is missing in the image, or a
	// mount or limit is refused.
	EFailedContainerStart = "DOCKER_CONTAINER_START_FAILED"
	// MContainerStop: stopping a container.
	MContainerStop = "DOCKER_CONTAINER_STOP"
	// EContainerStopFailed: the container could not be stopped. Its removal is
	// tried all the same.
	EContainerStopFailed = "DOCKER_CONTAINER_STOP_FAILED"
	// MContainerRemove: removing a container.
	MContainerRemove = "DOCKER_CONTAINER_REMOVE"
	// EFailedContainerRemove: a container is still there. Remove it by hand if
	// it stays: it has the label containerssh_connection_id.
	EFailedContainerRemove = "DOCKER_CONTAINER_REMOVE_FAILED"
	// MContainerRemoveSuccessful: a container has been removed.
	MContainerRemoveSuccessful = "DOCKER_CONTAINER_REMOVE_SUCCESSFUL"
	// MContainerSignal: sending a signal to a container's first program.
	MContainerSignal = "DOCKER_CONTAINER_SIGNAL"
	// EFailedContainerSignal: the signal was not delivered; the program may
	// have ended meanwhile.
	EFailedContainerSignal = "DOCKER_CONTAINER_SIGNAL_FAILED"
	// EShuttingDown: the container is going away, so the request came too late.
	// The user connects again.
	EShuttingDown = "DOCKER_CONTAINER_SHUTTING_DOWN"
	// MExec: a program is about to be started in a container.
	MExec = "DOCKER_EXEC"
	// MExecAttach: attaching to the streams of a program.
	MExecAttach = "DOCKER_EXEC_ATTACH"
	// EFailedExecAttach: the program could not be started or its streams could
	// not be had. The engine's reason is in the error; see that the shell
	// command exists in the image.
	EFailedExecAttach = "DOCKER_EXEC_ATTACH_FAILED"
	// MExecCreate: telling the engine of a program to be started.
	MExecCreate = "DOCKER_EXEC_CREATE"
	// EFailedExecCreate: the engine refused the program. See whether the
	// container still runs and its user exists.
	EFailedExecCreate = "DOCKER_EXEC_CREATE_FAILED"
	// EFailedPIDRead: the guest agent did not tell the program's process id, so
	// that no signal can be delivered. See whether agentPath names an agent.
	EFailedPIDRead = "DOCKER_EXEC_PID_READ_FAILED"
	// MResizing: changing the size of a terminal.
	MResizing = "DOCKER_EXEC_RESIZE"
	// EFailedResize: the terminal keeps its size; the program may have ended
	// meanwhile.
	EFailedResize = "DOCKER_EXEC_RESIZE_FAILED"
	// MExecSignal: delivering a signal to a program.
	MExecSignal = "DOCKER_EXEC_SIGNAL"
	// EFailedExecSignal: the signal was not delivered; the program may have
	// ended meanwhile.
	EFailedExecSignal = "DOCKER_EXEC_SIGNAL_FAILED"
	// ECannotSendSignalNoAgent: signals need the guest agent, which is
	// disabled. Set agent to another way than none.
	ECannotSendSignalNoAgent = "DOCKER_EXEC_SIGNAL_FAILED_NO_AGENT"
	// MExecSignalSuccessful: a signal has been delivered.
	MExecSignalSuccessful = "DOCKER_EXEC_SIGNAL_SUCCESSFUL"
	// MExitCode: asking how a program ended.
	MExitCode = "DOCKER_EXIT_CODE"
	// EContainerRestarting: how the program ended can't be told, since the
	// container is starting again. Set its restart policy to "no".
	EContainerRestarting = "DOCKER_EXIT_CODE_CONTAINER_RESTARTING"
	// EFetchingExitCodeFailed: the engine did not tell how the program ended.
	// The client gets a failure, never a success.
	EFetchingExitCodeFailed = "DOCKER_EXIT_CODE_FAILED"
	// ENegativeExitCode: the engine gave a negative exit code, which stands for
	// a program that never ran. The client gets a failure.
	ENegativeExitCode = "DOCKER_EXIT_CODE_NEGATIVE"
	// EStillRunning: the program's streams have ended but the program has not,
	// so there is no exit code yet.
	EStillRunning = "DOCKER_EXIT_CODE_STILL_RUNNING"
	// MImageList: looking for the image among those that the engine has.
	MImageList = "DOCKER_IMAGE_LISTING"
	// EFailedImageList: the engine did not tell which images it has.
	EFailedImageList = "DOCKER_IMAGE_LISTING_FAILED"
	// MImagePull: pulling an image.
	MImagePull = "DOCKER_IMAGE_PULL"
	// EFailedImagePull: the image can't be had. The registry's reason is in the
	// error; try `docker pull` with the same name on the engine's machine.
	EFailedImagePull = "DOCKER_IMAGE_PULL_FAILED"
	// MImagePullNeeded: deciding whether the image must be pulled.
	MImagePullNeeded = "DOCKER_IMAGE_PULL_NEEDED_CHECKING"
	// EProgramAlreadyRunning: a session runs one program, and this one has
	// started its own already; or the request may only come before the start.
	EProgramAlreadyRunning = "DOCKER_PROGRAM_ALREADY_RUNNING"
	// EFailedSignalNoPID: the program's process id is not known, so no signal
	// can be delivered. See the log for EFailedPIDRead.
	EFailedSignalNoPID = "DOCKER_SIGNAL_FAILED_NO_PID"
	// EFailedInputStream: copying the client's input to the program failed.
	EFailedInputStream = "DOCKER_STREAM_INPUT_FAILED"
	// EFailedOutputStream: copying the program's output to the client failed.
	EFailedOutputStream = "DOCKER_STREAM_OUTPUT_FAILED"
	// ESubsystemNotSupported: the client asked for a subsystem that
	// execution.subsystems does not name. Add it if it is wanted.
	ESubsystemNotSupported = "DOCKER_SUBSYSTEM_NOT_SUPPORTED"
	// EGuestAgentDisabled: programs run without the guest agent, as configured:
	// signals and forwarding are refused, and a program may outlive its
	// channel until its container is removed.
	EGuestAgentDisabled = "DOCKER_GUEST_AGENT_DISABLED"
	// EDockerRun: the deprecated dockerrun configuration is in use. Move it to
	// the docker one.
	EDockerRun = "DOCKERRUN_DEPRECATED"
	// EProgramExecutionDisabled: a client wanted to run a command line, which
	// disableCommand of the dockerrun configuration forbids.
	EProgramExecutionDisabled = "DOCKERRUN_EXEC_DISABLED"
	// EProgramNotRunning: a signal or a new window size came while no program
	// ran. It is refused.
	EProgramNotRunning = "DOCKER_PROGRAM_NOT_RUNNING"
)

// UserMessageInitializeSSHSession is what a user reads when the backend fails.
const UserMessageInitializeSSHSession = "Failed to initialize SSH session."
