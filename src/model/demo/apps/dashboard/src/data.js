export const RANGES = [7, 30, 90]

// The same numbers on every visit: a wave for the weekdays, a slow rise, and some noise.
function noise(seed) {
  const x = Math.sin(seed * 12.9898) * 43758.5453
  return x - Math.floor(x)
}

const TODAY = new Date()

const HISTORY = Array.from({ length: 180 }, (_, at) => {
  const date = new Date(TODAY)
  date.setDate(date.getDate() - (179 - at))
  const weekend = [0, 6].includes(date.getDay()) ? 1.35 : 1
  const orders = Math.round((84 + at * 0.22 + noise(at) * 34) * weekend)
  return {
    date: date.toLocaleDateString('en', { month: 'short', day: 'numeric' }),
    orders,
    revenue: Math.round(orders * (9.6 + noise(at + 500) * 2.6)),
    refunds: Math.round(noise(at + 900) * 2.4),
  }
})

const sum = (days, key) => days.reduce((total, day) => total + day[key], 0)

const totals = (days) => ({
  revenue: sum(days, 'revenue'),
  orders: sum(days, 'orders'),
  refunds: sum(days, 'refunds'),
})

export function figuresOf(days) {
  const daily = HISTORY.slice(-days)
  const now = totals(daily)
  const shares = { Counter: 0.46, App: 0.29, Website: 0.17, Phone: 0.08 }
  const channels = Object.entries(shares).map(([name, share], at) => ({
    name,
    orders: Math.round(now.orders * (share + (noise(days + at) - 0.5) * 0.03)),
  }))
  return { daily, channels, now, before: totals(HISTORY.slice(-2 * days, -days)) }
}

const PRODUCTS = [
  ['Flat white', 0.24, 4.2],
  ['Oat cappuccino', 0.19, 4.6],
  ['Cardamom bun', 0.16, 3.8],
  ['Filter coffee', 0.13, 3.2],
  ['Banana bread', 0.09, 4.0],
]

export function productsOf(days) {
  const orders = sum(HISTORY.slice(-days), 'orders')
  return PRODUCTS.map(([name, share, price]) => {
    const sold = Math.round(orders * share)
    return { name, sold, revenue: sold * price }
  })
}

export function money(value, digits = 0) {
  return value.toLocaleString('en', {
    style: 'currency',
    currency: 'EUR',
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}
