/**
 * `manju import mosquitto`: a `mosquitto.conf`, with the files that it includes, as a configuration file of manju.
 *
 * What it keeps: nobody comes in at manju whom Mosquitto would have kept out, and no line is passed over in silence. A line sets keys, which
 * have it in a comment above them; or it is told, with the reason why it sets none, on standard error and at the end of the file. Where a
 * line that keeps somebody out cannot be carried over the listener lets nobody in. Passwords, rules and certificates stay in Mosquitto's
 * files, which manju reads as they are.
 *
 * The result is checked as `manju check` does before it is written: it can be loaded, though files in it may be missing, which is told.
 */
import type { Command } from "commander"
import type { ImportFlags } from "./run.ts"

const help = `
What is not carried over is told on standard error, a line each, and at the end of the file. Where Mosquitto asks something who may come in
that manju does not have (a plugin, pre-shared keys, revoked certificates, ...) the listener is there and lets nobody in, until you say who may.

Examples:
  manju import mosquitto                                   /etc/mosquitto/mosquitto.conf to manju.toml
  manju import mosquitto old.conf --output - | less        to look at it
  manju check --config manju.toml                          what holds then

Exit codes: 0 who may come in is carried over, 1 failure, 2 usage, 3 it is not, or a file in it does not work: see the lines.`

/** Tells commander of it; `done` gets the exit code. */
export function describeImport(program: Command, done: (code: number) => void): void {
  program
    .command("import")
    .description("bring along the configuration of another broker")
    .command("mosquitto")
    .description("write a configuration file that does what a mosquitto.conf does")
    .argument("[file]", "the file of Mosquitto", "/etc/mosquitto/mosquitto.conf")
    .option("-o, --output <file>", "what to write; - is standard output", "manju.toml")
    .option("--force", "replace the file if it is there")
    .addHelpText("after", help)
    .action(async (file: string, flags: ImportFlags) => {
      const { importMosquitto } = await import("./run.ts") // which a broker does without
      done(await importMosquitto(file, flags))
    })
}
