/** Calls between a machine and a server: latency, requests and answers that are lost, requests that land after their caller gave up. */
import type { Machine, Scheduler } from './scheduler.ts'
import type { Trace } from './trace.ts'
import type { Weather } from './weather.ts'

/** What a server does with a request; it answers once, now or later. */
export type Serve<T> = (reply: (value: T) => void, refuse: (error: unknown) => void) => void

export type Network = {
  /**
   * One request. Rejects with `timeout()` after `timeout_ms`, and with what the server refuses. `point` names the call for coverage and
   * for crashes that are aimed: a machine may die right after the server has done it and before it hears of it.
   */
  call<T>(machine: Machine, point: string, timeout_ms: number, timeout: () => Error, serve: Serve<T>): Promise<T>
}

const near_ms = 0.3
const spread_ms = 1.7

export const openNetwork = (scheduler: Scheduler, weather: Weather, trace: Trace): Network => {
  const latency = () => near_ms + weather.uniform() * spread_ms
  return {
    call: (machine, point, timeout_ms, timeout, serve) =>
      new Promise((resolve, reject) => {
        // A dead process asks nobody: what was left of its callbacks may run to their next await.
        if (!machine.alive()) return
        let over = false
        const end = (how: () => void) => {
          if (over) return
          over = true
          cancel()
          how()
        }
        const cancel = scheduler.after(timeout_ms, machine, () => end(() => reject(timeout())))
        weather.passes(`${point} asked`, machine)
        if (!machine.alive()) return
        if (weather.cutOff(machine, point) || weather.strikes('request_lost')) return
        let out_ms = latency()
        // A coordinator that is loading: the old owner works on while the new one waits.
        if (point === 'init_producer_id' && weather.strikes('fencing_slow')) out_ms += weather.uniform() * timeout_ms * 0.8
        if (weather.strikes('slow')) out_ms += weather.uniform() * timeout_ms * 0.8
        if (weather.strikes('request_late')) out_ms += timeout_ms + weather.uniform() * timeout_ms
        scheduler.after(out_ms, null, () => {
          trace.note(point, machine.name)
          const back = (how: () => void) => {
            weather.passes(`${point} done`, machine)
            if (weather.cutOff(machine, point) || weather.strikes('reply_lost')) return
            let back_ms = latency()
            if (weather.strikes('slow')) back_ms += weather.uniform() * timeout_ms * 0.8
            scheduler.after(back_ms, machine, () => end(how))
          }
          serve(
            (value) => back(() => resolve(value)),
            (error) => back(() => reject(error)),
          )
        })
      }),
  }
}
