package main

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/portcullis-auth/portcullis/gateway"
)

// reloadOnHangup has the gateway take the configuration anew with each SIGHUP,
// until stop is called. One that isn't good changes nothing.
func reloadOnHangup(g *gateway.Gateway, file string, log *slog.Logger, s system) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var reloading sync.WaitGroup
	reloading.Go(func() {
		for range hangups {
			routes, ended, asked, err := reload(g, file, s)
			if err != nil {
				log.Error("configuration not reloaded: the gateway works on by the one that it has", "why", err)
				continue
			}
			log.Info("configuration reloaded", "routes", routes, "ended", ended, "asked_again", asked)
		}
	})
	return func() {
		signal.Stop(hangups)
		close(hangups) // nothing is sent any more
		reloading.Wait()
	}
}

func reload(g *gateway.Gateway, file string, s system) (routes, ended, asked int, err error) {
	c, err := load(file, s)
	if err != nil {
		return 0, 0, 0, err
	}
	ended, asked, err = g.Reload(c)
	return len(c.Routes), ended, asked, err
}
