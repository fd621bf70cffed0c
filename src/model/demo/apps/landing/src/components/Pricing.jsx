import { useState } from 'react'

const PLANS = [
  { name: 'Day tripper', monthly: 0, points: ['Two trips a year', 'Regional trains', 'Plans to print'] },
  {
    name: 'Window seat',
    monthly: 9,
    points: ['As many trips as you like', 'Night trains and ferries', 'Seats reserved for you', 'A new plan when a train is late'],
    best: true,
  },
  { name: 'Compartment', monthly: 19, points: ['All of that for a family of five', 'A person to call', 'Hotels held for a day'] },
]

export default function Pricing() {
  const [yearly, setYearly] = useState(true)

  return (
    <section id="prices" className="mx-auto max-w-6xl scroll-mt-20 px-5 py-20">
      <div className="flex flex-wrap items-end justify-between gap-6">
        <h2 className="font-display text-4xl font-semibold tracking-tight">Less than a bad airport lunch</h2>
        <label className="flex cursor-pointer items-center gap-3 text-sm font-medium">
          <input
            type="checkbox"
            role="switch"
            checked={yearly}
            onChange={(event) => setYearly(event.target.checked)}
            className="peer sr-only"
          />
          <span
            aria-hidden="true"
            className="h-7 w-12 rounded-full bg-line p-1 transition peer-checked:bg-accent peer-focus-visible:ring-4 peer-focus-visible:ring-accent/30 peer-checked:*:translate-x-5"
          >
            <span className="block size-5 rounded-full bg-white shadow transition" />
          </span>
          Pay by the year, two months free
        </label>
      </div>

      <ul className="mt-10 grid items-stretch gap-5 md:grid-cols-3">
        {PLANS.map(({ name, monthly, points, best }) => (
          <li
            key={name}
            data-best={best}
            className="flex flex-col rounded-3xl border border-line bg-surface p-7 data-best:border-accent data-best:ring-4 data-best:ring-accent/12"
          >
            <h3 className="font-semibold">{name}</h3>
            <p className="mt-3">
              <span className="font-display text-5xl font-semibold tabular-nums">€{yearly ? monthly * 10 : monthly}</span>
              <span className="text-muted"> / {yearly ? 'year' : 'month'}</span>
            </p>
            <ul className="mt-6 grid gap-2.5 text-muted">
              {points.map((point) => (
                <li key={point} className="flex gap-3">
                  <span aria-hidden="true" className="text-accent-text">
                    ✓
                  </span>
                  {point}
                </li>
              ))}
            </ul>
            <div className="grow" />
            <a
              href="#signup"
              data-best={best}
              className="mt-8 rounded-full border border-line py-3 text-center font-semibold transition hover:border-accent data-best:border-accent data-best:bg-accent data-best:text-on-accent"
            >
              Choose {name}
            </a>
          </li>
        ))}
      </ul>
    </section>
  )
}
