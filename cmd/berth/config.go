package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check, show, describe, or import the configuration file",
		Example: `  berth config check berth.yaml
  berth config show --config berth.yaml
  berth config schema > berth.schema.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("%s wants one of: check, import, schema, show", cmd.CommandPath())}
		},
	}
	c.AddCommand(checkCommand(), showCommand(), schemaCommand(), importCommand())
	return c
}

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Say what is wrong with a file, or will surprise, before use",
		Long: `Check reads a file as "berth serve --config FILE" would, and the files that it
names. It prints each problem with its line and exits with 1, or says that the
file is ok. It reaches no engine.`,
		Example: `  berth config check /etc/berth.yaml && systemctl reload berth`,
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			problems, warnings := config.Check(args[0])
			for _, p := range problems {
				fmt.Fprintf(cmd.ErrOrStderr(), "%v\n%s", p, p.Excerpt())
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n%s", w, w.Excerpt())
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
		Long: `Show prints the configuration in effect, as a file: what the file says, and the
default of everything that it leaves out. Paths are absolute, secrets are masked.`,
		Example: `  berth config show > berth.yaml       begin a file of your own
  berth config show --config berth.yaml`,
		Args: noArgs,
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
		Long: `Schema prints the JSON schema (draft 2020-12) of configuration files. An editor
with a YAML language server completes and explains keys when the file begins with

  # yaml-language-server: $schema=berth.schema.json`,
		Example: `  berth config schema > berth.schema.json`,
		Args:    noArgs,
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

func importCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Print a file of ContainerSSH as one of Berth's",
		Long: `Import reads a configuration file of ContainerSSH (0.3 to 0.5, YAML or JSON)
and prints one that does the same. On standard error it names each setting that
has no counterpart, with its line. It reaches no engine.`,
		Example: `  berth config import /etc/containerssh/config.yaml > berth.yaml
  berth config check berth.yaml`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, lost, err := config.Import(args[0])
			if err != nil {
				return err
			}
			text, err := c.YAML()
			if err != nil {
				return err
			}
			for _, p := range lost {
				fmt.Fprintln(cmd.ErrOrStderr(), p)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "# Made by \"berth config import %s\".\n%s", args[0], text)
			return err
		},
	}
}

// loadConfig loads a file; without one, the defaults.
func loadConfig(file string) (*config.Config, error) {
	if file == "" {
		c := config.Default()
		// As with the engine's own client, whose users have set it.
		if host := os.Getenv("DOCKER_HOST"); host != "" {
			c.Docker.Connection.Host = host
		}
		return c, nil
	}
	return config.Load(file)
}
