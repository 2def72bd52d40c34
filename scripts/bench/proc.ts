/**
 * What Linux tells about processes: CPU time and memory of a broker with everything it started, and the CPUs this
 * process may use.
 */
import { readFileSync } from "node:fs"

/** Clock ticks a second of /proc/PID/stat: 100 on every Linux that Bun runs on. */
const ticksPerSecond = 100

export type ProcessSample = {
  cpuSeconds: number
  residentBytes: number
  /** The part of it that is no file's. */
  anonymousBytes: number
  peakResidentBytes: number
}

/** The sum over a process and its descendants; all threads count. */
export function sampleProcess(pid: number): ProcessSample {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
  // The command's name, in parentheses, may hold blanks; user and system time are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const status = readFileSync(`/proc/${pid}/status`, "latin1")
  const kibibytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0)
  const own = {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    residentBytes: kibibytes("VmRSS") * 1024,
    anonymousBytes: kibibytes("RssAnon") * 1024,
    peakResidentBytes: kibibytes("VmHWM") * 1024,
  }
  for (const child of children(pid)) {
    const sample = sampleProcess(child)
    own.cpuSeconds += sample.cpuSeconds
    own.residentBytes += sample.residentBytes
    own.anonymousBytes += sample.anonymousBytes
    own.peakResidentBytes += sample.peakResidentBytes
  }
  return own
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
