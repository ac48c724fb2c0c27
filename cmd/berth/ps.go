package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func psCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "ps",
		Short: "List the containers of a running server, and whose they are",
		Long: `Ps asks the server that runs with a state directory for the containers that its
connections have. A container from the pool was made before its user was known, so
that its labels don't say whose it is: this list does.`,
		Example: `  berth ps
  berth ps --state-dir /var/lib/berth`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s status
			if err := askControl(cmd.Context(), dir, "/containers", &s); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "CONTAINER\tUSER\tFROM\tSINCE\tPOOL\tCONNECTION")
			for _, c := range s.Containers {
				from := "no"
				if c.FromPool {
					from = "yes"
				}
				fmt.Fprintf(w, "%.12s\t%q\t%s\t%s\t%s\t%s\n", c.ID, c.User, c.Client, c.Since.Format(time.DateTime), from, c.ConnectionID)
			}
			if err := w.Flush(); err != nil {
				return err
			}
			if p := s.Pool; p.Target > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "%d of %d waiting in the pool; %d logins found one, %d did not\n", p.Ready, p.Target, p.Hits, p.Misses)
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "state-dir", "", "the server's state directory (default: "+stateDirHelp+")")
	return c
}
