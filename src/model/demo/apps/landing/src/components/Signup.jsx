import { useState } from 'react'

export default function Signup() {
  const [email, setEmail] = useState('')
  const [sent, setSent] = useState(false)

  // There is no server behind this page; the address goes nowhere.
  function submit(event) {
    event.preventDefault()
    setSent(true)
  }

  return (
    <section id="signup" className="mx-auto w-full max-w-6xl scroll-mt-20 px-5 pb-20">
      <div className="rounded-[2rem] bg-accent px-6 py-16 text-center text-on-accent">
        <h2 className="font-display text-4xl font-semibold tracking-tight text-balance">The next train leaves soon</h2>
        {sent ? (
          <p role="status" className="mt-6 text-lg">
            Thank you! We would write to {email} if this were a real company.
          </p>
        ) : (
          <form onSubmit={submit} className="mx-auto mt-8 flex max-w-md flex-wrap gap-3">
            <input
              type="email"
              required
              value={email}
              onChange={(event) => setEmail(event.target.value)}
              placeholder="you@example.com"
              aria-label="Email"
              className="min-w-0 grow rounded-full bg-surface px-6 py-3.5 text-ink outline-none placeholder:text-muted focus-visible:ring-4 focus-visible:ring-on-accent/40"
            />
            <button
              type="submit"
              className="grow rounded-full bg-ink px-6 py-3.5 font-semibold text-canvas transition hover:opacity-85 sm:grow-0"
            >
              Tell me more
            </button>
          </form>
        )}
      </div>
    </section>
  )
}
