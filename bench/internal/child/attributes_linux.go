package child

import "syscall"

// attributes give a child a process group, and let it not outlive us.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
