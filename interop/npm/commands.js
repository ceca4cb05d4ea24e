// What a program is told, and what it answers: lines of JSON, {id, do, ...} on its
// input and {id, result} or {id, error} on its output. It ends when its input does.
import { createInterface } from 'node:readline'

export function commands(table) {
  const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
  createInterface({ input: process.stdin })
    .on('line', async (line) => {
      const { id, do: name, ...told } = JSON.parse(line)
      try {
        answer({ id, result: (await table[name](told)) ?? {} })
      } catch (err) {
        answer({ id, error: String(err.stack) })
      }
    })
    .on('close', () => process.exit(0))
}

// A Diary holds what happens to one end, for those who wait for it.
export class Diary {
  #entries = []
  #readers = []

  get size() {
    return this.#entries.length
  }

  write(entry) {
    this.#entries.push(entry)
    this.#serve()
  }

  // read takes out so many entries, the oldest first, once they are there.
  read(count = 1) {
    const read = new Promise((resolve) => this.#readers.push({ count, resolve }))
    this.#serve()
    return read
  }

  #serve() {
    while (this.#readers.length > 0 && this.#entries.length >= this.#readers[0].count) {
      const { count, resolve } = this.#readers.shift()
      resolve(this.#entries.splice(0, count))
    }
  }
}
