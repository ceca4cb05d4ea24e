//go:build unix && !linux

package child

import "syscall"

// attributes give a child a process group.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
