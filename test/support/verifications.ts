/** What argon2 is asked to verify: it is counted, and waits if the test says so. */
import { spyOn } from "bun:test"
import { eventually } from "../listeners/socket.ts"

const real = Bun.password.verify

export class Verifications implements Disposable {
  private readonly spy = spyOn(Bun.password, "verify")
  private readonly held: (() => void)[] = []

  /** The hashes that passwords were compared with, in order. */
  get hashes(): string[] {
    return this.spy.mock.calls.map(([, hash]) => String(hash))
  }

  /** The passwords, in order. */
  get passwords(): string[] {
    return this.spy.mock.calls.map(([password]) => Buffer.from(password as Uint8Array).toString())
  }

  get count(): number {
    return this.spy.mock.calls.length
  }

  /** From now on each waits until `endOne`. */
  hold(): void {
    this.spy.mockImplementation(async (password, hash) => {
      await new Promise<void>((resolve) => this.held.push(resolve))
      return real.call(Bun.password, password, hash)
    })
  }

  /** What the next one does instead. */
  next(act: () => Promise<boolean>): void {
    this.spy.mockImplementationOnce(act)
  }

  /** They go on by themselves again. */
  release(): void {
    this.spy.mockImplementation(real)
    for (const end of this.held.splice(0)) end()
  }

  /** Lets the one that has waited longest go on; waits until `count` have begun in all. */
  async endOne(count = this.count): Promise<void> {
    this.held.shift()!()
    await eventually(() => this.count >= count, `${count} verifications`)
  }

  [Symbol.dispose](): void {
    this.release()
    this.spy.mockRestore()
  }
}
