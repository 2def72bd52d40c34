/**
 * What Linux tells about processes: CPU time, wake-ups and memory of a broker with everything it started, and the CPUs this
 * process may use.
 */
import { dlopen, FFIType } from "bun:ffi"
import { readdirSync, readFileSync } from "node:fs"

const library = { clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 } } as const
const { clock_gettime: clockGetTime } = dlopen("libc.so.6", library).symbols
/** What clock_gettime(2) fills in: whole seconds, and nanoseconds. */
const timespec = new BigInt64Array(2)

/**
 * What all threads of a process have used so far, also those that have ended, to the nanosecond: its CPU clock, as
 * clock_getcpuclockid(3) has it. /proc/PID/stat has the same time in hundredths of a second, which at 100 messages a
 * second is more than they cost; /proc/PID/task/TID/schedstat has nanoseconds, forgets threads that have ended, and is
 * up to a tick behind for those that run.
 */
function cpuSeconds(pid: number): number {
  if (clockGetTime((~pid << 3) | 2, timespec) !== 0) throw new Error(`process ${pid} is gone`)
  return Number(timespec[0]) + Number(timespec[1]) / 1e9
}

export type ProcessSample = {
  cpuSeconds: number
  /** Voluntary context switches. */
  wakeUps: number
  residentBytes: number
  /** The part of it that is no file's. */
  anonymousBytes: number
  peakResidentBytes: number
}

/** The sum over a process and its descendants; all threads count. */
export function sampleProcess(pid: number): ProcessSample {
  const status = readFileSync(`/proc/${pid}/status`, "latin1")
  const kibibytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0)
  const own = {
    cpuSeconds: cpuSeconds(pid),
    wakeUps: wakeUps(pid),
    residentBytes: kibibytes("VmRSS") * 1024,
    anonymousBytes: kibibytes("RssAnon") * 1024,
    peakResidentBytes: kibibytes("VmHWM") * 1024,
  }
  for (const child of children(pid)) {
    const sample = sampleProcess(child)
    own.cpuSeconds += sample.cpuSeconds
    own.wakeUps += sample.wakeUps
    own.residentBytes += sample.residentBytes
    own.anonymousBytes += sample.anonymousBytes
    own.peakResidentBytes += sample.peakResidentBytes
  }
  return own
}

/** Of the threads that there still are: how often each went to sleep until something came. */
function wakeUps(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((thread) => {
      try {
        const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "latin1")
        return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0)
      } catch {
        return 0 // it has ended since it was listed
      }
    })
    .reduce((sum, count) => sum + count, 0)
}

function children(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ").filter(Boolean).map(Number)
  } catch {
    return [] // a kernel without CONFIG_PROC_CHILDREN: only the process itself is sampled
  }
}

/** The CPUs that this process may run on, such as [0, 1]. */
export function allowedCpus(): number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "0"
  return list.split(",").flatMap((range) => {
    const [first, last] = range.split("-").map(Number)
    return Array.from({ length: (last ?? first!) - first! + 1 }, (_, i) => first! + i)
  })
}

/** How many files, sockets among them, a process started by this one may have open. */
export function openFilesLimit(): number {
  return Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1] ?? 1024)
}

/** Lets this process and those that it starts have so many files open, or as many as it may. */
export function raiseOpenFilesLimit(files: number): void {
  if (openFilesLimit() >= files || !Bun.which("prlimit")) return
  // Bun has raised the soft limit to the hard one already; more than that takes a privilege, and may be refused.
  Bun.spawnSync(["prlimit", "--pid", String(process.pid), `--nofile=${files}:${files}`], {
    stdio: ["ignore", "ignore", "ignore"],
  })
}
