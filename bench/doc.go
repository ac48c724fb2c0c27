// Command bench measures Berth side by side with OpenSSH's sshd and with the
// bare engine, on this machine, in one run. It is what `make bench` runs.
//
//	stage       what is compared: started when first needed, ended with the run
//	contender   one side: measured again and again, in turn with the others
//	series      the samples of a side: median, p99, quartiles
//	Figure      a number made of series, with its goal; all of them are a Report
//
// docs/performance.md says what each figure means. bench --help lists the flags.
package main
