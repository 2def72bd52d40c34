/** `manju service`: manju as a service of systemd. */
import type { Command } from "commander"
import type { InstallFlags, UninstallFlags } from "./service/install.ts"

const help = `
Writes /etc/systemd/system/manju.service, which runs the manju that is asked to, and /etc/manju/manju.toml if it is not there, for this
machine alone; then enables and starts the service. Behind an update it is run again: a unit that nobody has changed is replaced, and a
newer manju started. What a person has written stays.

Examples:
  sudo manju service install                                   installs and starts it
  manju service install --print                                shows the unit, and does nothing
  manju service install --root /mnt --binary /usr/bin/manju    into an image, where /usr/bin/manju is

Exit codes: 0 done, 1 failure, 2 usage.`

/** Tells commander of it. */
export function describeService(program: Command): void {
  const service = program.command("service").description("make manju a service of systemd, or remove that")
  service
    .command("install")
    .description("write the unit and a first configuration, and start the service now and with the machine")
    .option("--print", "print the unit, and do nothing")
    .option("--no-start", "do not start it now; needs no running systemd")
    .option("--root <folder>", "of an image that is not running; starts nothing")
    .option("--binary <path>", "what the service runs (default: the manju that this is)")
    .option("--force", "replace a unit that is not, or no more, as manju has written it")
    .addHelpText("after", help)
    // A broker does without what these load.
    .action(async (flags: InstallFlags) => (await import("./service/install.ts")).install(flags))
  service
    .command("uninstall")
    .description("stop the service and remove the unit; configuration and data stay")
    .option("--root <folder>", "of an image that is not running")
    .option("--force", "also a unit that manju has not written")
    .action(async (flags: UninstallFlags) => (await import("./service/install.ts")).uninstall(flags))
}
