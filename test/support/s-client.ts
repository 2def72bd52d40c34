/** `openssl s_client`: one TLS connection of somebody who is not related to us. */

export interface Talk {
  /** What the server has said, decrypted. */
  received: Buffer
  /** What openssl has to say of it. */
  said: string
}

/** How long a server may leave it waiting. */
const PATIENCE_MS = 20_000

/** Connects, says `input`, and stays until the server closes; with `-no_ign_eof` it closes itself after its input. */
export async function talk(port: number, args: readonly string[], input: Uint8Array): Promise<Talk> {
  const command = ["openssl", "s_client", "-connect", `127.0.0.1:${port}`, "-quiet", ...args]
  const child = Bun.spawn(command, { stdin: input, stdout: "pipe", stderr: "pipe", timeout: PATIENCE_MS })
  const [received, said] = await Promise.all([child.stdout.bytes(), child.stderr.text()])
  await child.exited
  if (child.signalCode !== null) throw new Error(`${command.join(" ")} was left waiting: ${said}`)
  return { received: Buffer.from(received), said }
}

/** The handshake alone: what openssl tells of it. */
export async function handshake(port: number, ...args: string[]): Promise<string> {
  const command = ["openssl", "s_client", "-connect", `127.0.0.1:${port}`, ...args]
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: PATIENCE_MS })
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()])
  return out + err
}
