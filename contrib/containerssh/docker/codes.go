package docker

import "github.com/berth-ssh/berth/docker"

// The message codes, and what a user reads when the backend fails. Package
// docker of Berth says what each of them means and what to do about it.
const (
	EFailedAgentRead           = docker.EFailedAgentRead
	EFailedOutputCloseWriting  = docker.EFailedOutputCloseWriting
	EFailedInputCloseWriting   = docker.EFailedInputCloseWriting
	EConfigError               = docker.EConfigError
	MContainerAttach           = docker.MContainerAttach
	EFailedContainerAttach     = docker.EFailedContainerAttach
	MContainerCreate           = docker.MContainerCreate
	EFailedContainerCreate     = docker.EFailedContainerCreate
	MContainerStart            = docker.MContainerStart
	EFailedContainerStart      = docker.EFailedContainerStart
	MContainerStop             = docker.MContainerStop
	EContainerStopFailed       = docker.EContainerStopFailed
	MContainerRemove           = docker.MContainerRemove
	EFailedContainerRemove     = docker.EFailedContainerRemove
	MContainerRemoveSuccessful = docker.MContainerRemoveSuccessful
	MContainerSignal           = docker.MContainerSignal
	EFailedContainerSignal     = docker.EFailedContainerSignal
	EShuttingDown              = docker.EShuttingDown
	MExec                      = docker.MExec
	MExecAttach                = docker.MExecAttach
	EFailedExecAttach          = docker.EFailedExecAttach
	MExecCreate                = docker.MExecCreate
	EFailedExecCreate          = docker.EFailedExecCreate
	EFailedPIDRead             = docker.EFailedPIDRead
	MResizing                  = docker.MResizing
	EFailedResize              = docker.EFailedResize
	MExecSignal                = docker.MExecSignal
	EFailedExecSignal          = docker.EFailedExecSignal
	ECannotSendSignalNoAgent   = docker.ECannotSendSignalNoAgent
	MExecSignalSuccessful      = docker.MExecSignalSuccessful
	MExitCode                  = docker.MExitCode
	EContainerRestarting       = docker.EContainerRestarting
	EFetchingExitCodeFailed    = docker.EFetchingExitCodeFailed
	ENegativeExitCode          = docker.ENegativeExitCode
	EStillRunning              = docker.EStillRunning
	MImageList                 = docker.MImageList
	EFailedImageList           = docker.EFailedImageList
	MImagePull                 = docker.MImagePull
	EFailedImagePull           = docker.EFailedImagePull
	MImagePullNeeded           = docker.MImagePullNeeded
	EProgramAlreadyRunning     = docker.EProgramAlreadyRunning
	EFailedSignalNoPID         = docker.EFailedSignalNoPID
	EFailedInputStream         = docker.EFailedInputStream
	EFailedOutputStream        = docker.EFailedOutputStream
	ESubsystemNotSupported     = docker.ESubsystemNotSupported
	EGuestAgentDisabled        = docker.EGuestAgentDisabled
	EDockerRun                 = docker.EDockerRun
	EProgramExecutionDisabled  = docker.EProgramExecutionDisabled
	EProgramNotRunning         = docker.EProgramNotRunning

	UserMessageInitializeSSHSession = docker.UserMessageInitializeSSHSession
)
