package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v3"
)

// A usageError is about the command line, not about what it asks for.
type usageError struct{ error }

// run parses args, of which the first is the program's name, and does what they
// say until that is done or ctx is.
func run(ctx context.Context, args []string, s system) error {
	configFlag := &cli.StringFlag{Name: "config", Aliases: []string{"c"}, Value: "portcullis.yaml", Usage: "the configuration `FILE`"}
	logFlag := &cli.StringFlag{Name: "log", Value: "json", Usage: "the log's `FORMAT` on standard error: json or text", Validator: func(v string) error {
		_, err := newLog(s, v)
		return err
	}}
	levelFlag := &cli.StringFlag{Name: "log-level", Value: "info", Usage: "what the gateway logs: info is each socket's begin and end and each refusal too, warn and error are not", Validator: func(v string) error {
		_, err := level(v)
		return err
	}}
	root := &cli.Command{
		Name:      "portcullis",
		Usage:     "authorizes HTTP calls and WebSockets, for as long as they live",
		Writer:    s.out,
		ErrWriter: s.err,
		Commands: []*cli.Command{
			{
				Name:  "demo",
				Usage: "starts a token system, a backend and the gateway between them, to look at",
				Flags: demoFlags(),
				Action: func(ctx context.Context, c *cli.Command) error {
					return demonstrate(ctx, c, s)
				},
			},
			{
				Name:  "serve",
				Usage: "runs the gateway",
				Flags: []cli.Flag{configFlag, logFlag, levelFlag},
				Action: func(ctx context.Context, c *cli.Command) error {
					log, err := newLog(s, c.String("log"))
					if err != nil {
						return usageError{err}
					}
					least, err := level(c.String("log-level"))
					if err != nil {
						return usageError{err}
					}
					return serve(ctx, c.String("config"), log, least, s)
				},
			},
			{
				Name:  "check",
				Usage: "says whether a configuration is good, and everything that isn't",
				Flags: []cli.Flag{configFlag, &cli.StringFlag{Name: "token", Usage: "explain what becomes of a token, read from standard input: `-`"}},
				Action: func(ctx context.Context, c *cli.Command) error {
					switch c.String("token") {
					case "":
						return check(c.String("config"), s)
					case "-":
						return explain(ctx, c.String("config"), s)
					}
					return usageError{errors.New("--token takes - alone, and reads the token from standard input: others can see a command line")}
				},
			},
			sessionsCommand(s),
			revokeCommand(s),
			{
				Name:   "version",
				Usage:  "says which version this is",
				Action: func(context.Context, *cli.Command) error { return version(s) },
			},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if word := c.Args().First(); word != "" {
				return usageError{fmt.Errorf("unknown command %q; see portcullis --help", word)}
			}
			return cli.ShowRootCommandHelp(c)
		},
		OnUsageError:   func(_ context.Context, _ *cli.Command, err error, _ bool) error { return usageError{err} },
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // main exits
	}
	for _, c := range root.Commands {
		c.OnUsageError = root.OnUsageError
		action := c.Action
		c.Action = func(ctx context.Context, c *cli.Command) error {
			if word := c.Args().First(); word != "" {
				return usageError{fmt.Errorf("%s takes no argument, but got %q; see portcullis %s --help", c.Name, word, c.Name)}
			}
			return action(ctx, c)
		}
	}
	return root.Run(ctx, args)
}

func version(s system) error {
	v := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		v = info.Main.Version
	}
	_, err := fmt.Fprintf(s.out, "portcullis %s %s %s/%s\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
