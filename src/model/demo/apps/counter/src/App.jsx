import { useEffect, useState } from 'react'
import History from './components/History.jsx'
import RoundButton from './components/RoundButton.jsx'

const TITLE = 'Counter'
const STEPS = [1, 5, 10]
const NOTHING = { count: 0, history: [] }

function stored() {
  try {
    return JSON.parse(localStorage.getItem('counter')) ?? NOTHING
  } catch {
    return NOTHING
  }
}

export default function App() {
  const [state, setState] = useState(stored)
  const [step, setStep] = useState(1)

  const add = (change) =>
    setState(({ count, history }) => ({
      count: count + change,
      history: [{ id: Date.now() + Math.random(), change }, ...history].slice(0, 24),
    }))

  useEffect(() => {
    try {
      localStorage.setItem('counter', JSON.stringify(state))
    } catch {
      // A private window may keep no storage: then it lasts until the page is closed.
    }
  }, [state])

  useEffect(() => {
    function onKey(event) {
      if (event.key === 'ArrowUp' || event.key === '+') add(step)
      else if (event.key === 'ArrowDown' || event.key === '-') add(-step)
      else return
      event.preventDefault()
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [step])

  return (
    <div className="flex min-h-dvh flex-col bg-canvas px-4 text-ink antialiased">
      <main className="grid grow place-items-center py-10">
        <section className="w-full max-w-md rounded-[2rem] border border-line bg-surface p-8 text-center shadow-xl shadow-black/5 sm:p-10">
          <h1 className="text-sm font-semibold tracking-[0.2em] text-muted uppercase">{TITLE}</h1>

          <p
            key={state.count}
            role="status"
            className="mt-6 animate-pop text-8xl font-semibold tracking-tight tabular-nums sm:text-9xl"
          >
            {state.count.toLocaleString('en')}
          </p>

          <div className="mt-8 flex items-center justify-center gap-4">
            <RoundButton label={`Subtract ${step}`} onClick={() => add(-step)}>
              −
            </RoundButton>
            <RoundButton label={`Add ${step}`} onClick={() => add(step)} strong>
              +
            </RoundButton>
          </div>

          <fieldset className="mt-8 flex justify-center gap-1 rounded-full bg-canvas p-1">
            <legend className="sr-only">Step</legend>
            {STEPS.map((value) => (
              <button
                key={value}
                type="button"
                aria-pressed={step === value}
                onClick={() => setStep(value)}
                className="grow rounded-full py-2 text-sm font-semibold text-muted transition hover:text-ink aria-pressed:bg-surface aria-pressed:text-accent-text aria-pressed:shadow-sm"
              >
                ±{value}
              </button>
            ))}
          </fieldset>

          <History entries={state.history} />

          <p className="mt-6 hidden text-sm text-muted sm:block">
            The <kbd className="rounded-md border border-line px-1.5 py-0.5 text-xs">↑</kbd> and{' '}
            <kbd className="rounded-md border border-line px-1.5 py-0.5 text-xs">↓</kbd> keys work, too.
          </p>
        </section>
      </main>
    </div>
  )
}
