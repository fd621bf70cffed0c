import { useState } from 'react'
import ChannelChart from './components/ChannelChart.jsx'
import Figure from './components/Figure.jsx'
import Products from './components/Products.jsx'
import RevenueChart from './components/RevenueChart.jsx'
import { RANGES, figuresOf, money, productsOf } from './data.js'

const TITLE = 'Good morning, Ines'

export default function App() {
  const [days, setDays] = useState(30)
  const { daily, channels, now, before } = figuresOf(days)

  return (
    <div className="flex min-h-dvh flex-col bg-canvas text-ink antialiased">
      <main className="mx-auto w-full max-w-6xl grow px-4 py-8 sm:px-8">
        <header className="flex flex-wrap items-end justify-between gap-4">
          <div>
            <h1 className="text-3xl font-semibold tracking-tight">{TITLE}</h1>
            <p className="mt-1 text-muted">Here is how the coffee shop has been doing. All figures are made up.</p>
          </div>
          <div className="flex rounded-xl border border-line bg-surface p-1" role="group" aria-label="Period">
            {RANGES.map((range) => (
              <button
                key={range}
                type="button"
                aria-pressed={days === range}
                onClick={() => setDays(range)}
                className="rounded-lg px-3.5 py-1.5 text-sm font-semibold text-muted transition hover:text-ink aria-pressed:bg-accent aria-pressed:text-on-accent"
              >
                {range} days
              </button>
            ))}
          </div>
        </header>

        <section aria-label="Figures" className="mt-8 grid gap-4 sm:grid-cols-2 lg:grid-cols-4">
          <Figure name="Revenue" value={money(now.revenue)} now={now.revenue} before={before.revenue} />
          <Figure name="Orders" value={now.orders.toLocaleString('en')} now={now.orders} before={before.orders} />
          <Figure
            name="Average order"
            value={money(now.revenue / now.orders, 2)}
            now={now.revenue / now.orders}
            before={before.revenue / before.orders}
          />
          <Figure name="Refunds" value={now.refunds} now={now.refunds} before={before.refunds} lessIsBetter />
        </section>

        <section className="mt-4 grid gap-4 lg:grid-cols-3">
          <div className="rounded-2xl border border-line bg-surface p-5 lg:col-span-2">
            <h2 className="font-semibold">Revenue per day</h2>
            <RevenueChart data={daily} />
          </div>
          <div className="rounded-2xl border border-line bg-surface p-5">
            <h2 className="font-semibold">Where orders come from</h2>
            <ChannelChart data={channels} />
          </div>
        </section>

        <Products products={productsOf(days)} />
      </main>
    </div>
  )
}
