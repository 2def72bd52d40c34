/**
 * Datagrams to a Unix socket. Neither Bun nor Node has these, and a process that would send them (systemd-notify) is no part of
 * small images, costs a fork for each, and is not who systemd expects to hear from. So libc does it, through `bun:ffi`.
 *
 * The numbers and layouts are those of Linux on x64 and arm64, glibc and musl alike; musl takes every name that begins with `libc.` for itself.
 */
import { dlopen, ptr } from "bun:ffi"

const LIBC = "libc.so.6"
const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_SNDTIMEO = 21
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const CLOCK_MONOTONIC = 1
/** What is left for the path in a `sockaddr_un`, with the zero at its end. */
const MOST_PATH_BYTES = 107
/** How long the receiver may be busy; it is waited for, and so is everything else. */
const SEND_TIMEOUT_SECONDS = 1n

export class DatagramSender {
  private readonly libc = open()
  private readonly fd: number
  private readonly address: Uint8Array

  /** `path`: where the receiver is; one that begins with `@` is a name without a file. Throws for one that cannot be. */
  constructor(path: string) {
    this.address = addressOf(path)
    const { socket, setsockopt } = this.libc
    this.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
    if (this.fd < 0) throw new Error("there is no socket to be had")
    const timeout = new BigInt64Array([SEND_TIMEOUT_SECONDS, 0n])
    setsockopt(this.fd, SOL_SOCKET, SO_SNDTIMEO, ptr(timeout), timeout.byteLength)
  }

  /** Gives whether it has arrived. `mayWait`: for a receiver that is busy. */
  send(text: string, mayWait: boolean): boolean {
    const { fd, address, libc } = this
    const bytes = Buffer.from(text)
    const flags = MSG_NOSIGNAL | (mayWait ? 0 : MSG_DONTWAIT)
    return libc.sendto(fd, ptr(bytes), bytes.length, flags, ptr(address), address.length) === BigInt(bytes.length)
  }

  close(): void {
    this.libc.close(this.fd)
  }

  /** Since some point in the past that is the same for all processes. */
  monotonicMicroseconds(): bigint {
    const time = new BigInt64Array(2)
    this.libc.clock_gettime(CLOCK_MONOTONIC, ptr(time))
    return time[0]! * 1_000_000n + time[1]! / 1000n
  }
}

/** A `sockaddr_un`. */
function addressOf(path: string): Uint8Array {
  const bytes = Buffer.from(path)
  if (!/^[/@]/.test(path) || bytes.length < 2) throw new Error("it takes a path, or @ and a name")
  if (bytes.length > MOST_PATH_BYTES) throw new Error(`it takes no more than ${MOST_PATH_BYTES} bytes`)
  const isAbstract = bytes[0] === 0x40
  if (isAbstract) bytes[0] = 0
  return Buffer.concat([
    new Uint8Array(new Uint16Array([AF_UNIX]).buffer),
    bytes,
    ...(isAbstract ? [] : [Buffer.alloc(1)]),
  ])
}

function open() {
  return dlopen(LIBC, {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
    clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
  }).symbols
}
