package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check, show, or describe the configuration file",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("%s wants one of: check, show, schema", cmd.CommandPath())}
		},
	}
	c.AddCommand(checkCommand(), showCommand(), schemaCommand())
	return c
}

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Say what is wrong with a file, or will surprise, before use",
		Long: `Check reads a file as "berth serve --config FILE" would, and the files that it
names. It prints each problem with its line and exits with 1, or says that the
file is ok. It reaches no engine.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			problems, warnings := config.Check(args[0])
			for _, p := range problems {
				fmt.Fprintln(cmd.ErrOrStderr(), p)
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w)
			}
			if len(problems) > 0 {
				return errReported
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", args[0])
			return err
		},
	}
}

func showCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration in effect, with defaults, secrets masked",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			masked := c.Masked()
			text, err := masked.YAML()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	c.Flags().StringVar(&file, "config", "", "the file; without it the defaults are shown")
	return c
}

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the file, for editors",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := json.MarshalIndent(config.Schema(), "", "  ")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
			return err
		},
	}
}

// loadConfig loads a file; without one, the defaults.
func loadConfig(file string) (*config.Config, error) {
	if file == "" {
		return config.Default(), nil
	}
	return config.Load(file)
}
